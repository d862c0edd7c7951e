/**
 * Tensor: an immutable lazy handle on a graph node. Building costs a node; nothing runs until values are asked for.
 * Methods mirror `ops`; whatever is not here is there.
 */
import type { Device } from "./device.ts";
import type { DType, TypedArray } from "./dtype.ts";
import { LowrankError } from "./errors.ts";
import type { Node } from "./graph/node.ts";
import type { NestedArray } from "./host-values.ts";
import { makeToolbox } from "./ops/make.ts";
import type { Operand, Toolbox } from "./ops/toolbox.ts";
import { sizeOf } from "./shape.ts";

type Dims = readonly number[] | number;

export class Tensor {
  readonly node: Node;
  readonly device: Device;

  constructor(node: Node, device: Device) {
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
      throw new LowrankError(
        "ShapeError",
        `item: tensor [${this.shape.join(", ")}] has ${this.size} elements; reduce it first or use data()`,
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

  add(y: Operand): Tensor {
    return ops.add(this, y);
  }
  sub(y: Operand): Tensor {
    return ops.sub(this, y);
  }
  mul(y: Operand): Tensor {
    return ops.mul(this, y);
  }
  div(y: Operand): Tensor {
    return ops.div(this, y);
  }
  maximum(y: Operand): Tensor {
    return ops.maximum(this, y);
  }
  minimum(y: Operand): Tensor {
    return ops.minimum(this, y);
  }
  neg(): Tensor {
    return ops.neg(this);
  }
  abs(): Tensor {
    return ops.abs(this);
  }
  exp(): Tensor {
    return ops.exp(this);
  }
  log(): Tensor {
    return ops.log(this);
  }
  sqrt(): Tensor {
    return ops.sqrt(this);
  }
  rsqrt(): Tensor {
    return ops.rsqrt(this);
  }
  tanh(): Tensor {
    return ops.tanh(this);
  }
  erf(): Tensor {
    return ops.erf(this);
  }
  square(): Tensor {
    return ops.square(this);
  }
  eq(y: Operand): Tensor {
    return ops.eq(this, y);
  }
  ne(y: Operand): Tensor {
    return ops.ne(this, y);
  }
  lt(y: Operand): Tensor {
    return ops.lt(this, y);
  }
  le(y: Operand): Tensor {
    return ops.le(this, y);
  }
  gt(y: Operand): Tensor {
    return ops.gt(this, y);
  }
  ge(y: Operand): Tensor {
    return ops.ge(this, y);
  }
  logicalNot(): Tensor {
    return ops.logicalNot(this);
  }
  logicalAnd(y: Operand): Tensor {
    return ops.logicalAnd(this, y);
  }
  logicalOr(y: Operand): Tensor {
    return ops.logicalOr(this, y);
  }
  cast(dtype: DType): Tensor {
    return ops.cast(this, dtype);
  }
  detach(): Tensor {
    return ops.detach(this);
  }
  matmul(y: Tensor): Tensor {
    return ops.matmul(this, y);
  }
  reshape(shape: readonly number[]): Tensor {
    return ops.reshape(this, shape);
  }
  permute(dims: readonly number[]): Tensor {
    return ops.permute(this, dims);
  }
  transpose(a = -2, b = -1): Tensor {
    return ops.transpose(this, a, b);
  }
  expand(shape: readonly number[]): Tensor {
    return ops.expand(this, shape);
  }
  slice(dim: number, start: number, end: number, step = 1): Tensor {
    return ops.slice(this, dim, start, end, step);
  }
  pad(pairs: readonly (readonly [number, number])[], value = 0): Tensor {
    return ops.pad(this, pairs, value);
  }
  squeeze(dim: number): Tensor {
    return ops.squeeze(this, dim);
  }
  unsqueeze(dim: number): Tensor {
    return ops.unsqueeze(this, dim);
  }
  flatten(): Tensor {
    return ops.flatten(this);
  }
  sum(dims?: Dims, keepdim = false): Tensor {
    return ops.sum(this, dims, keepdim);
  }
  mean(dims?: Dims, keepdim = false): Tensor {
    return ops.mean(this, dims, keepdim);
  }
  amax(dims?: Dims, keepdim = false): Tensor {
    return ops.amax(this, dims, keepdim);
  }
}

/** Every op as a free function. */
export const ops: Toolbox = makeToolbox(
  (node, device) => new Tensor(node, device),
  (x) => x instanceof Tensor,
);
