/** Views: the same values in other places. The scheduler turns them into index arithmetic. */
import { dot, forEachIndex, sizeOf, stridesOf } from "../shape.ts";
import type { NdArray, Primitive } from "./primitive.ts";

/** Copies `x` into `shape`, reading from the position that `source` computes; undefined means `fill`. */
function remap(
  x: NdArray,
  shape: readonly number[],
  source: (index: readonly number[]) => number | undefined,
  fill = 0,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  forEachIndex(shape, (index, i) => {
    const at = source(index);
    out[i] = at === undefined ? fill : x.data[at]!;
  });
  return out;
}

export const reshape: Primitive = {
  name: "reshape",
  lowering: { class: "view", view: "reshape" },
  cost: 0,
  reference: ([x]) => x!.data,
};

export const permute: Primitive = {
  name: "permute",
  lowering: { class: "view", view: "permute" },
  cost: 0,
  reference: ([x], attrs, shape) => {
    const dims = attrs["dims"] as number[];
    const strides = stridesOf(x!.shape);
    const moved = dims.map((d) => strides[d]!);
    return remap(x!, shape, (index) => dot(index, moved));
  },
};

export const expand: Primitive = {
  name: "expand",
  lowering: { class: "view", view: "expand" },
  cost: 0,
  reference: ([x], _attrs, shape) => {
    const strides = stridesOf(x!.shape).map((s, d) => (x!.shape[d] === 1 ? 0 : s));
    return remap(x!, shape, (index) => dot(index, strides));
  },
};

export const slice: Primitive = {
  name: "slice",
  lowering: { class: "view", view: "slice" },
  cost: 0,
  reference: ([x], attrs, shape) => {
    const starts = attrs["starts"] as number[];
    const steps = attrs["steps"] as number[];
    const strides = stridesOf(x!.shape);
    const offset = dot(starts, strides);
    const scaled = strides.map((s, d) => s * steps[d]!);
    return remap(x!, shape, (index) => offset + dot(index, scaled));
  },
};

export const pad: Primitive = {
  name: "pad",
  lowering: { class: "view", view: "pad" },
  cost: 1,
  reference: ([x], attrs, shape) => {
    const low = attrs["low"] as number[];
    const strides = stridesOf(x!.shape);
    return remap(
      x!,
      shape,
      (index) => {
        let at = 0;
        for (let d = 0; d < index.length; d++) {
          const c = index[d]! - low[d]!;
          if (c < 0 || c >= x!.shape[d]!) return undefined;
          at += c * strides[d]!;
        }
        return at;
      },
      attrs["value"] as number,
    );
  },
};

/** Its input, which no gradient goes through. */
export const detach: Primitive = {
  name: "detach",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};

/** Its first input, not before the second has been computed. */
export const barrier: Primitive = {
  name: "barrier",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};

/** Its input: indices that lie in a range, which its attributes are (`IndexRange`). */
export const checkIndices: Primitive = {
  name: "checkIndices",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};
