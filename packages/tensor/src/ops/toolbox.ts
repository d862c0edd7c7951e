/** The set of all ops bound to a way of making tensors. Records call each other through it, so that op files never import one another. */
import type { DType } from "../dtype.ts";
import type { Attrs } from "../graph/node.ts";
import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord, Primitive } from "./record.ts";
import type { records } from "./registry.ts";

type Bound<R> = R extends OpRecord<infer Args, infer Out> ? (...args: Args) => Out : never;

export type BoundOps = { readonly [K in keyof typeof records]: Bound<(typeof records)[K]> };

/** Ways to make nodes; only op records use these. */
export interface Builders {
  node(primitive: Primitive, inputs: readonly Tensor[], attrs: Attrs, shape: readonly number[], dtype: DType): Tensor;
  /** A node without inputs. */
  source(primitive: Primitive, device: Device, attrs: Attrs, shape: readonly number[], dtype: DType): Tensor;
  /** Gives `output` a gradient rule of its own with respect to `inputs`. Returns `output`. */
  customVjp(output: Tensor, inputs: readonly Tensor[], rule: (g: Tensor) => readonly (Tensor | undefined)[]): Tensor;
  /** A number as a tensor of `like`'s dtype and device, shape []. */
  scalar(value: number, like: Tensor, dtype?: DType): Tensor;
  /** A tensor as it is, a number as `scalar` has it. `like` is a tensor wherever `x` is a number. @throws DTypeError naming `op` on anything else, and on a number that the dtype does not hold */
  operand(op: string, x: Operand, like: Tensor, dtype?: DType): Tensor;
}

export type Toolbox = BoundOps & { readonly make: Builders };

/** A tensor, or a JavaScript number that takes the other operand's dtype. */
export type Operand = Tensor | number;

/** Where random bits come from: two key words (usually live: seed and step) and a constant that tells call sites apart. */
export interface RandomKey {
  /** u32 [2]. */
  readonly words: Tensor;
  readonly site: number;
}
