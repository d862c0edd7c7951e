/** Sums and maxima over dimensions, which stay in the result with size 1. */
import { forEachIndex, stridesOf } from "../shape.ts";
import type { NdArray, Primitive } from "./primitive.ts";

function fold(
  x: NdArray,
  shape: readonly number[],
  initial: number,
  f: (acc: number, v: number) => number,
): Float64Array {
  const strides = stridesOf(shape).map((s, d) => (shape[d] === 1 ? 0 : s));
  const out = new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(initial);
  forEachIndex(x.shape, (index, i) => {
    let at = 0;
    for (let d = 0; d < index.length; d++) at += index[d]! * strides[d]!;
    out[at] = f(out[at]!, x.data[i]!);
  });
  return out;
}

export const sum: Primitive = {
  name: "sum",
  lowering: { class: "reduce", combine: "sum" },
  cost: 1,
  reference: ([x], _attrs, shape) => fold(x!, shape, 0, (a, v) => a + v),
};

export const amax: Primitive = {
  name: "amax",
  lowering: { class: "reduce", combine: "max" },
  cost: 1,
  reference: ([x], _attrs, shape) => fold(x!, shape, -Infinity, Math.max),
};
