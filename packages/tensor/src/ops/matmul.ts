/** Matrix products. */
import { isFloat, promote } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import * as primitives from "../primitives/products.ts";
import { broadcastShapes, formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { inPrecision } from "./in-precision.ts";
import { makeNode } from "./make.ts";
import { squeeze } from "./rearrange.ts";
import type { OpRecords } from "./record.ts";
import { cast } from "./sources.ts";
import { expand, reshape } from "./views.ts";

/**
 * […, m, k] · […, k, n] → […, m, n]; leading dimensions broadcast; a vector counts as a row on the left, a column on the right, and the
 * dimension it was given is dropped: [n] · [n] → [].
 */
export const matmul: (a: Tensor, b: Tensor) => Tensor = /* @__PURE__ */ inPrecision("compute", (a, b) => {
  if (a.rank === 0 || b.rank === 0)
    throw new ShapeError("matmul: operands need at least one dimension; use mul for scalars");
  const dtype = promote(a.dtype, b.dtype);
  if (!isFloat(dtype)) throw new DTypeError(`matmul: needs float tensors, got ${a.dtype} and ${b.dtype}`);
  const [k, kb] = [a.shape[a.rank - 1]!, b.shape[Math.max(b.rank - 2, 0)]!];
  if (k !== kb)
    throw new ShapeError(
      `matmul: inner dimensions differ: ${formatShape(a.shape)} · ${formatShape(b.shape)} (${k} ≠ ${kb})`,
    );
  if (b.rank === 1) return squeeze(matmul(a, reshape(b, [k, 1])), -1);
  if (a.rank === 1) return squeeze(matmul(reshape(a, [1, k]), b), -2);
  const [m, n] = [a.shape[a.rank - 2]!, b.shape[b.rank - 1]!];
  const [x, y] = [cast(a, dtype), cast(b, dtype)];
  // One big product instead of many small ones when the right side has no batch of its own.
  if (b.rank === 2 && a.rank > 2)
    return reshape(matmul(reshape(x, [sizeOf(a.shape.slice(0, -1)), k]), y), [...a.shape.slice(0, -1), n]);
  const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  return makeNode(
    primitives.matmul,
    [expand(x, [...batch, m, k]), expand(y, [...batch, k, n])],
    {},
    [...batch, m, n],
    dtype,
  );
});

/** What tests know of these ops. */
export const matmulRecords: OpRecords = {
  matmul: {
    tolerance: "reduction",
    differentiable: true,
    refuses: (g) => [
      ["inner dimensions that differ", "ShapeError", [g.tensor([4, 3]), g.tensor([5, 2])]],
      ["a scalar", "ShapeError", [g.tensor([]), g.tensor([2])]],
      ["integers", "DTypeError", [g.ints([2, 2], 0, 3), g.ints([2, 2], 0, 3)]],
      ["batches that do not broadcast", "ShapeError", [g.tensor([2, 4, 3]), g.tensor([3, 3, 2])]],
    ],
    sample: (g) => {
      const [m, k, n] = [g.size(9), g.size(9), g.size(9)];
      const batch = g.shape({ maxRank: 2, maxDim: 3 });
      return [g.tensor([...batch, m, k]), g.tensor([...(g.boolean() ? batch : []), k, n])];
    },
  },
};
