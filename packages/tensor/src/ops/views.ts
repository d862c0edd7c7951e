/** Views: they move no data. The scheduler turns them into index arithmetic. */
import { ShapeError } from "../errors.ts";
import { checkNumber } from "../host-values.ts";
import * as primitives from "../primitives/views.ts";
import { broadcastShapes, formatShape, resolveDim, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode } from "./make.ts";
import { ALL_DTYPES, type OpRecords } from "./record.ts";

/** The same elements in row-major order under another shape; one dimension may be −1. */
export function reshape(x: Tensor, wanted: readonly number[]): Tensor {
  const known = wanted.reduce((p, d) => (d === -1 ? p : p * d), 1);
  const shape = wanted.map((d) => (d === -1 ? x.size / Math.max(known, 1) : d));
  if (sizeOf(shape) !== x.size || shape.some((d) => !Number.isInteger(d) || d < 0)) {
    throw new ShapeError(`reshape: ${formatShape(x.shape)} has ${x.size} elements, ${formatShape(wanted)} does not`);
  }
  return sameShape(shape, x.shape) ? x : makeNode(primitives.reshape, [x], {}, shape, x.dtype);
}

/** Dimension d of the result is dimension dims[d] of x. */
export function permute(x: Tensor, wanted: readonly number[]): Tensor {
  const dims = wanted.map((d) => resolveDim("permute", d, x.rank));
  if (dims.length !== x.rank || new Set(dims).size !== x.rank)
    throw new ShapeError(
      `permute: [${wanted.join(", ")}] is not an order of the ${x.rank} dimensions of ${formatShape(x.shape)}`,
    );
  if (dims.every((d, i) => d === i)) return x;
  return makeNode(
    primitives.permute,
    [x],
    { dims },
    dims.map((d) => x.shape[d]!),
    x.dtype,
  );
}
/** x with dimensions a and b swapped (default the last two). */
export function transpose(x: Tensor, a: number = -2, b: number = -1): Tensor {
  const dims = x.shape.map((_, i) => i);
  const [i, j] = [resolveDim("transpose", a, x.rank), resolveDim("transpose", b, x.rank)];
  [dims[i], dims[j]] = [dims[j]!, dims[i]!];
  return permute(x, dims);
}

/** x repeated along dimensions of size 1 (and new leading ones) to `shape`. */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const target = broadcastShapes("expand", x.shape, shape);
  if (!sameShape(target, shape))
    throw new ShapeError(`expand: ${formatShape(x.shape)} does not expand to ${formatShape(shape)}`);
  const aligned = reshape(x, [...new Array<number>(shape.length - x.rank).fill(1), ...x.shape]);
  return sameShape(aligned.shape, shape) ? aligned : makeNode(primitives.expand, [aligned], {}, [...shape], x.dtype);
}

/**
 * Elements start, start + step, … before `end` along dim; a negative start counts from the back, so does a negative
 * end; a negative step runs backwards, and `end` −1 then means past the first.
 */
export function slice(x: Tensor, dim: number, start: number, end: number, step: number = 1): Tensor {
  const d = resolveDim("slice", dim, x.rank);
  const size = x.shape[d]!;
  if (!Number.isInteger(step) || step === 0)
    throw new ShapeError(`slice: step must be a non-zero integer, got ${step}`);
  if (!Number.isInteger(start) || !(Number.isInteger(end) || end === Infinity))
    throw new ShapeError(`slice: start and end must be whole numbers, got ${start} and ${end}`);
  if (step < 0 && end < -1)
    throw new ShapeError(`slice: with a negative step end is −1 (past the first) or a position, got ${end}`);
  const from = start < 0 ? start + size : start;
  const to = step > 0 ? Math.min(end < 0 ? end + size : end, size) : end;
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length > 0 && (from < 0 || from >= size))
    throw new ShapeError(`slice: start ${start} lies outside dimension ${dim} of ${formatShape(x.shape)}`);
  if (from === 0 && step === 1 && length === size) return x;
  const starts = x.shape.map((_, i) => (i === d ? from : 0));
  const steps = x.shape.map((_, i) => (i === d ? step : 1));
  return makeNode(
    primitives.slice,
    [x],
    { starts, steps },
    x.shape.map((s, i) => (i === d ? length : s)),
    x.dtype,
  );
}

/** x with pairs[d] = [before, after] elements of `value` around each dimension. */
export function pad(x: Tensor, pairs: readonly (readonly [number, number])[], value: number = 0): Tensor {
  if (pairs.length !== x.rank) throw new ShapeError(`pad: ${pairs.length} pairs for a tensor of rank ${x.rank}`);
  if (pairs.some((pair) => pair.length !== 2 || pair.some((w) => !Number.isInteger(w) || w < 0)))
    throw new ShapeError(
      "pad: amounts must be whole numbers and not negative, two for each dimension; use slice to cut",
    );
  checkNumber("pad", x.dtype, value);
  if (pairs.every(([a, b]) => a === 0 && b === 0)) return x;
  return makeNode(
    primitives.pad,
    [x],
    { low: pairs.map(([a]) => a), value },
    x.shape.map((s, d) => s + pairs[d]![0] + pairs[d]![1]),
    x.dtype,
  );
}

/** x, with no gradient through it. */
export function detach(x: Tensor): Tensor {
  return makeNode(primitives.detach, [x], {}, x.shape, x.dtype);
}

/**
 * x, but not before `after` has been computed: recomputation in the backward pass must not be merged with the forward
 * pass.
 */
export function barrier(x: Tensor, after: Tensor): Tensor {
  return makeNode(primitives.barrier, [x, after], {}, x.shape, x.dtype);
}

/** What tests know of these ops. */
export const viewsRecords: OpRecords = {
  reshape: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      return [g.tensor(shape), g.boolean() ? [-1] : [...shape].reverse()];
    },
    refuses: (g) => [
      ["another number of elements", "ShapeError", [g.tensor([2, 3]), [4]]],
      ["a negative dimension", "ShapeError", [g.tensor([2, 3]), [-2, -3]]],
    ],
  },
  permute: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const dims = shape.map((_, i) => i);
      const by = g.integer(0, shape.length - 1);
      return [g.tensor(shape), [...dims.slice(by), ...dims.slice(0, by)]];
    },
    refuses: (g) => [
      ["a dimension named twice", "ShapeError", [g.tensor([2, 3]), [1, 1]]],
      ["a dimension left out", "ShapeError", [g.tensor([2, 3]), [0]]],
    ],
  },
  transpose: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 2 });
      return [g.tensor(shape), g.integer(-shape.length, shape.length - 1), g.integer(0, shape.length - 1)];
    },
    refuses: (g) => [["a dimension that there is not", "ShapeError", [g.tensor([2, 3]), 0, 2]]],
  },
  expand: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape.map((d) => (g.boolean() ? 1 : d))), [2, ...shape]];
    },
    refuses: (g) => [["a shape that it does not fit", "ShapeError", [g.tensor([2, 3]), [2, 4]]]],
  },
  slice: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const dim = g.integer(0, shape.length - 1);
      const n = shape[dim]!;
      if (n === 0) return [g.tensor(shape), dim, 0, 0];
      if (g.boolean()) return [g.tensor(shape), dim, n - 1, -1, -1];
      const start = g.integer(0, n - 1);
      return [g.tensor(shape), dim, start, g.integer(start + 1, n), g.integer(1, 3)];
    },
    refuses: (g) => [
      ["steps of 0", "ShapeError", [g.tensor([3]), 0, 0, 2, 0]],
      ["a start that is no whole number", "ShapeError", [g.tensor([3]), 0, 0.5, 2]],
      ["a start outside", "ShapeError", [g.tensor([3]), 0, 3, -1, -1]],
      ["backwards to a negative end", "ShapeError", [g.tensor([3]), 0, 2, -2, -1]],
    ],
  },
  pad: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape), shape.map(() => [g.integer(0, 2), g.integer(0, 2)]), g.pick([0, 1])];
    },
    refuses: (g) => [
      ["a pair too few", "ShapeError", [g.tensor([2, 3]), [[1, 1]]]],
      ["a negative amount", "ShapeError", [g.tensor([2]), [[-1, 0]]]],
      ["a fraction in a tensor of integers", "DTypeError", [g.ints([2], 0, 3), [[1, 1]], 0.5]],
    ],
  },
  detach: {
    tolerance: "exact",
    differentiable: false,
    dtypes: ALL_DTYPES,
    sample: (g) => [g.tensor(g.shape())],
  },
  barrier: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => [g.tensor(g.shape()), g.tensor([]), 0],
  },
};
