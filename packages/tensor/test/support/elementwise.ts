/** A kernel of one function of one number over a line of f32. */
import type { LoopKernel, UnaryOp } from "../../src/ir/kernel.ts";

export function elementwise(size: number, op: UnaryOp): LoopKernel {
  const index = { offset: 0, strides: [1] };
  return {
    kind: "loop",
    label: op,
    outer: [size],
    inner: [],
    args: [
      { dtype: "f32", access: "read", size },
      { dtype: "f32", access: "write", size },
    ],
    body: [
      { op: "load", type: "f32", arg: 0, index },
      { op, type: "f32", a: 0 },
    ],
    stores: [{ arg: 1, index, value: 1 }],
  };
}
