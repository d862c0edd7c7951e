/** What kinds of arithmetic promise of single operations. `ieee` is what CPUs and the interpreter keep: + − · / √ correctly rounded. */
import { invariant, type Tensor } from "@lowrank/tensor";
import { records, type ScalarPromise } from "@lowrank/tensor/records";

export type Node = Tensor["node"];
type Lowering = Node["primitive"]["lowering"];
export type UnaryOp = Extract<Lowering, { class: "unary" }>["op"];
export type BinaryOp = Extract<Lowering, { class: "binary" }>["op"];

export type Arithmetic = "ieee" | "wgsl";

/** What is promised of functions of one number, by instruction: the ops' records say it. */
const PROMISES: ReadonlyMap<string, ScalarPromise> = new Map(
  Object.entries(records).flatMap(([name, { scalar }]): [string, ScalarPromise][] =>
    scalar === undefined ? [] : [[scalar.instruction ?? name, scalar]],
  ),
);

export function promiseOf(op: UnaryOp): ScalarPromise {
  const promise = PROMISES.get(op);
  invariant(promise !== undefined, `no op's record promises anything of ${op}; give it a "scalar"`);
  return promise;
}

/** Units that a function may be off; 0 where it is exact or correctly rounded: the rounding itself is `settle`'s. */
export function unitsOf(op: UnaryOp, arithmetic: Arithmetic): number {
  return promiseOf(op).units?.[arithmetic === "ieee" ? 0 : 1] ?? 0;
}

/** Units of a quotient. */
export const DIVISION: Readonly<Record<Arithmetic, number>> = { ieee: 0, wgsl: 2.5 };

/**
 * Where a compiler may reassociate (WGSL: "implementations may reassociate"; drivers fold constants of x·c·d), an exact operation may be
 * replaced by one that rounds: each sum and product is charged half a unit of the magnitudes that meet in it, exact or not.
 */
export const REASSOCIATES: Readonly<Record<Arithmetic, boolean>> = { ieee: false, wgsl: true };

/** Beyond, the reduction of an argument of sine and cosine loses digits, and only [−1, 1] is promised. */
export const CIRCULAR_RANGE: Readonly<Record<Arithmetic, number>> = { ieee: 1e5, wgsl: 1e4 };
/**
 * Where sine and cosine are small WGSL's promise is absolute (2⁻¹¹; ours comes from a reduction in f32 whose remainder is off by 2⁻²⁶):
 * units there are those of a result of at least this size.
 */
export const CIRCULAR_FLOOR: Readonly<Record<Arithmetic, number>> = { ieee: 0, wgsl: 0.25 };

/** What a device of that name promises. */
export function arithmeticOf(device: { readonly name: string }): Arithmetic {
  return device.name === "webgpu" ? "wgsl" : "ieee";
}
