/**
 * Tensor: an immutable lazy handle on a graph node. Building costs a node; nothing runs until values are asked for.
 * Here is what ops need to know of one. Its methods that mirror ops are in `tensor-methods.ts`.
 */
import type { DType, TypedArray } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import type { Node } from "./graph/node.ts";
import type { HostData, NestedArray } from "./host-values.ts";
import { formatShape, sizeOf } from "./shape.ts";

/** Where a tensor lives, as far as tensors and ops care. `device.ts` adds the rest of `Device` to the type. */
export interface TensorHost {
  readonly name: string;
  /** What numbers without a dtype become. */
  readonly defaultFloat: DType;
  /** Values that never change, once on the device for all plans that read them. */
  constant(values: HostData, shape?: readonly number[], dtype?: DType): Tensor;
  read(x: Tensor): Promise<TypedArray>;
  readFloats(x: Tensor): Promise<Float64Array>;
}

export class Tensor {
  readonly node: Node;
  readonly device: TensorHost;

  constructor(node: Node, device: TensorHost) {
    this.node = node;
    this.device = device;
  }

  get shape(): readonly number[] {
    return this.node.shape;
  }
  get dtype(): DType {
    return this.node.dtype;
  }
  get rank(): number {
    return this.node.shape.length;
  }
  get size(): number {
    return sizeOf(this.node.shape);
  }

  /** The elements in row-major order, in the memory form of the dtype (f16 and bf16 as raw bits). Runs what is needed. */
  data(): Promise<TypedArray> {
    return this.device.read(this);
  }

  /** The only element of a tensor of size 1, as a number. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(
        `item: tensor ${formatShape(this.shape)} has ${this.size} elements; reduce it first or use data()`,
      );
    return (await this.floats())[0]!;
  }

  /** The elements as f64 numbers, whatever the dtype. */
  floats(): Promise<Float64Array> {
    return this.device.readFloats(this);
  }

  /** Nested arrays in the tensor's shape. */
  async tolist(): Promise<NestedArray> {
    const flat = await this.floats();
    const build = (d: number, offset: number, step: number): NestedArray => {
      if (d === this.rank) return flat[offset]!;
      const inner = step / this.shape[d]!;
      return Array.from({ length: this.shape[d]! }, (_, i) => build(d + 1, offset + i * inner, inner));
    };
    return build(0, 0, this.size);
  }
}
