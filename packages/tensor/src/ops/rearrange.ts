/** Small compositions of views. */
import { ShapeError } from "../errors.ts";
import { formatShape, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { lt } from "./binary.ts";
import { ALL_DTYPES, type OpRecords } from "./record.ts";
import { iota, where } from "./sources.ts";
import { pad, reshape } from "./views.ts";

/** x with a new dimension of 1 at dim. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const d = resolveDim("unsqueeze", dim, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** x without its dimension dim of size 1. */
export function squeeze(x: Tensor, dim: number): Tensor {
  const d = resolveDim("squeeze", dim, x.rank);
  if (x.shape[d] !== 1) throw new ShapeError(`squeeze: dimension ${dim} of ${formatShape(x.shape)} is not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== d),
  );
}

/** x as one dimension. */
export function flatten(x: Tensor): Tensor {
  return reshape(x, [-1]);
}

/** Parts one after another along dim. */
export function concat(parts: readonly Tensor[], dim: number = 0): Tensor {
  const first = parts[0];
  if (first === undefined) throw new ShapeError("concat: no tensors");
  const d = resolveDim("concat", dim, first.rank);
  const total = parts.reduce((n, p) => n + p.shape[d]!, 0);
  let out: Tensor | undefined;
  let start = 0;
  for (const part of parts) {
    if (part.rank !== first.rank || part.shape.some((s, i) => i !== d && s !== first.shape[i]))
      throw new ShapeError(
        `concat: ${formatShape(part.shape)} does not continue ${formatShape(first.shape)} along dimension ${dim}`,
      );
    const placed = pad(
      part,
      part.shape.map((s, i) => (i === d ? ([start, total - start - s] as const) : ([0, 0] as const))),
    );
    // chosen by position, not added: NaN or −0 in one part never touches another
    out = out === undefined ? placed : where(lt(iota(placed, d), start), out, placed);
    start += part.shape[d]!;
  }
  return out!;
}

/** Parts side by side along a new dimension. */
export function stack(parts: readonly Tensor[], dim: number = 0): Tensor {
  return concat(
    parts.map((p) => unsqueeze(p, dim)),
    dim,
  );
}

/** What tests know of these ops. */
export const rearrangeRecords: OpRecords = {
  unsqueeze: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape), g.integer(-shape.length - 1, shape.length)];
    },
    refuses: (g) => [["a dimension that there is not", "ShapeError", [g.tensor([2]), 2]]],
  },
  squeeze: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape();
      const d = g.integer(0, shape.length);
      return [g.tensor([...shape.slice(0, d), 1, ...shape.slice(d)]), d];
    },
    refuses: (g) => [["a dimension that is not 1", "ShapeError", [g.tensor([1, 2]), 1]]],
  },
  flatten: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => [g.tensor(g.shape())],
  },
  concat: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const dim = g.integer(-shape.length, shape.length - 1);
      const at = dim < 0 ? dim + shape.length : dim;
      const longer = shape.map((d, i) => (i === at ? d + 1 : d));
      return [[shape, longer, shape].slice(0, g.integer(1, 3)).map((s) => g.tensor(s)), dim];
    },
    refuses: (g) => [
      ["nothing", "ShapeError", [[]]],
      ["parts that differ elsewhere", "ShapeError", [[g.tensor([2, 3]), g.tensor([2, 4])], 0]],
      ["parts of another rank", "ShapeError", [[g.tensor([2, 3]), g.tensor([2])], 0]],
    ],
  },
  stack: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape();
      return [[g.tensor(shape), g.tensor(shape)], g.integer(0, shape.length)];
    },
    refuses: (g) => [["parts of different shapes", "ShapeError", [[g.tensor([2]), g.tensor([3])]]]],
  },
};
