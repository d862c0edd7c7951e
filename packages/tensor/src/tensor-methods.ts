/**
 * The methods of a tensor that mirror ops: x.exp() is exp(x). Ops make tensors, so the class cannot know them; they are added to it
 * from here, once, by whoever opens a device. Whatever is not here is in `ops`.
 */
import type { DType } from "./dtype.ts";
import * as ops from "./ops/registry.ts";
import type { Operand } from "./ops/make.ts";
import { Tensor } from "./tensor.ts";

type Dims = readonly number[] | number;

export abstract class TensorMethods {
  add(this: Tensor, y: Operand): Tensor {
    return ops.add(this, y);
  }
  sub(this: Tensor, y: Operand): Tensor {
    return ops.sub(this, y);
  }
  mul(this: Tensor, y: Operand): Tensor {
    return ops.mul(this, y);
  }
  div(this: Tensor, y: Operand): Tensor {
    return ops.div(this, y);
  }
  maximum(this: Tensor, y: Operand): Tensor {
    return ops.maximum(this, y);
  }
  minimum(this: Tensor, y: Operand): Tensor {
    return ops.minimum(this, y);
  }
  neg(this: Tensor): Tensor {
    return ops.neg(this);
  }
  abs(this: Tensor): Tensor {
    return ops.abs(this);
  }
  exp(this: Tensor): Tensor {
    return ops.exp(this);
  }
  log(this: Tensor): Tensor {
    return ops.log(this);
  }
  sqrt(this: Tensor): Tensor {
    return ops.sqrt(this);
  }
  rsqrt(this: Tensor): Tensor {
    return ops.rsqrt(this);
  }
  tanh(this: Tensor): Tensor {
    return ops.tanh(this);
  }
  erf(this: Tensor): Tensor {
    return ops.erf(this);
  }
  square(this: Tensor): Tensor {
    return ops.square(this);
  }
  eq(this: Tensor, y: Operand): Tensor {
    return ops.eq(this, y);
  }
  ne(this: Tensor, y: Operand): Tensor {
    return ops.ne(this, y);
  }
  lt(this: Tensor, y: Operand): Tensor {
    return ops.lt(this, y);
  }
  le(this: Tensor, y: Operand): Tensor {
    return ops.le(this, y);
  }
  gt(this: Tensor, y: Operand): Tensor {
    return ops.gt(this, y);
  }
  ge(this: Tensor, y: Operand): Tensor {
    return ops.ge(this, y);
  }
  logicalNot(this: Tensor): Tensor {
    return ops.logicalNot(this);
  }
  logicalAnd(this: Tensor, y: Operand): Tensor {
    return ops.logicalAnd(this, y);
  }
  logicalOr(this: Tensor, y: Operand): Tensor {
    return ops.logicalOr(this, y);
  }
  cast(this: Tensor, dtype: DType): Tensor {
    return ops.cast(this, dtype);
  }
  detach(this: Tensor): Tensor {
    return ops.detach(this);
  }
  matmul(this: Tensor, y: Tensor): Tensor {
    return ops.matmul(this, y);
  }
  reshape(this: Tensor, shape: readonly number[]): Tensor {
    return ops.reshape(this, shape);
  }
  permute(this: Tensor, dims: readonly number[]): Tensor {
    return ops.permute(this, dims);
  }
  transpose(this: Tensor, a = -2, b = -1): Tensor {
    return ops.transpose(this, a, b);
  }
  expand(this: Tensor, shape: readonly number[]): Tensor {
    return ops.expand(this, shape);
  }
  slice(this: Tensor, dim: number, start: number, end: number, step = 1): Tensor {
    return ops.slice(this, dim, start, end, step);
  }
  pad(this: Tensor, pairs: readonly (readonly [number, number])[], value = 0): Tensor {
    return ops.pad(this, pairs, value);
  }
  squeeze(this: Tensor, dim: number): Tensor {
    return ops.squeeze(this, dim);
  }
  unsqueeze(this: Tensor, dim: number): Tensor {
    return ops.unsqueeze(this, dim);
  }
  flatten(this: Tensor): Tensor {
    return ops.flatten(this);
  }
  sum(this: Tensor, dims?: Dims, keepdim = false): Tensor {
    return ops.sum(this, dims, keepdim);
  }
  mean(this: Tensor, dims?: Dims, keepdim = false): Tensor {
    return ops.mean(this, dims, keepdim);
  }
  amax(this: Tensor, dims?: Dims, keepdim = false): Tensor {
    return ops.amax(this, dims, keepdim);
  }
}

declare module "./tensor.ts" {
  interface Tensor extends TensorMethods {}
}

/** Every tensor comes from a device; `device.ts` calls this before there is one. */
export function addMethods(): void {
  const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(TensorMethods.prototype);
  Object.defineProperties(Tensor.prototype, methods);
}
