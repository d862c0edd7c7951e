/** Order by counting, and places of extremes. */
import { isFloat } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import * as primitives from "../primitives/reductions.ts";
import { formatShape, resolveDims } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { eq, logicalAnd, logicalOr, lt, sub } from "./binary.ts";
import { scalar } from "./make.ts";
import { flagOf } from "./options.ts";
import { NUMBERS, type OpRecords, type SampleSource } from "./record.ts";
import { amax, least, reduce, sum } from "./reductions.ts";
import { gather } from "./rows.ts";
import { cast, iota, where } from "./sources.ts";
import { isnan, logicalNot } from "./unary.ts";
import { detach, expand, reshape, slice, transpose } from "./views.ts";

/** a < b in an order that NaN is last in, which makes it total, so that ranks are a permutation. */
function less(a: Tensor, b: Tensor): Tensor {
  return isFloat(a.dtype) ? logicalAnd(logicalNot(isnan(a)), logicalOr(isnan(b), lt(a, b))) : lt(a, b);
}

/**
 * Order by counting: rank_i = how many elements come before i. Quadratic, stable, the same on every device; meant for
 * thousands of elements, not millions.
 */
function order(x: Tensor, descending: boolean): { rank: Tensor } {
  const n = x.shape[x.rank - 1]!;
  const lead = x.shape.slice(0, -1);
  const i = reshape(x, [...lead, n, 1]);
  const j = reshape(x, [...lead, 1, n]);
  const grid = expand(j, [...lead, n, n]);
  const earlier = lt(iota(grid, -1), iota(grid, -2));
  const [ahead, behind] = descending ? [less(i, j), less(j, i)] : [less(j, i), less(i, j)];
  const before = logicalOr(ahead, logicalAnd(logicalNot(behind), earlier));
  return { rank: sum(cast(before, "i32"), -1) };
}

export interface Sorted {
  readonly values: Tensor;
  readonly indices: Tensor;
}

/**
 * Values in order along dim and the i32 indices they came from; stable; NaN counts as larger than anything, as in
 * torch.
 */
export function sort(x: Tensor, dim: number = -1, descending: boolean = false): Sorted {
  flagOf("sort", "descending", descending);
  const last = transpose(x, dim, -1);
  const n = last.shape[last.rank - 1]!;
  const lead = last.shape.slice(0, -1);
  const rank = reshape(order(detach(last), descending).rank, [...lead, 1, n]);
  const grid = expand(rank, [...lead, n, n]);
  // index at place p = Σ_i [rank_i = p] · i
  const place = where(eq(grid, iota(grid, -2)), expand(iota(grid, -1), grid.shape), scalar(0, rank));
  const indices = sum(place, -1);
  return { values: transpose(gather(last, -1, indices), dim, -1), indices: transpose(indices, dim, -1) };
}

/** The k largest along dim, largest first (NaN before all), and their i32 indices. */
export function topk(x: Tensor, k: number, dim: number = -1): Sorted {
  const d = resolveDims("topk", dim, x.rank)[0]!;
  if (!Number.isInteger(k) || k < 0 || k > x.shape[d]!)
    throw new ShapeError(`topk: k = ${k} does not fit dimension ${dim} of ${formatShape(x.shape)}`);
  const { values, indices } = sort(x, d, true);
  return { values: slice(values, d, 0, k), indices: slice(indices, d, 0, k) };
}

/** The place of the first element that `hit` marks; `hit` marks one at least. */
function firstPlace(hit: Tensor, d: number): Tensor {
  const n = hit.shape[d]!;
  // the first hit is the one with the largest n − index
  const score = sub(n, iota(hit, d));
  return sub(n, amax(where(hit, expand(score, hit.shape), scalar(0, score)), d));
}

/** Where `best` was found: NaN equals nothing, but it is the best where there is one. */
function attained(x: Tensor, best: Tensor): Tensor {
  return isFloat(x.dtype) ? logicalOr(eq(x, best), isnan(x)) : eq(x, best);
}

function sampleAlong(g: SampleSource): readonly unknown[] {
  const shape = g.shape({ minRank: 1, maxDim: 9 });
  return [g.tensor(shape, { distinct: true, gap: 1e-2 }), g.integer(-shape.length, shape.length - 1)];
}

/** i32 index of the first maximum along dim, of the first NaN where there is one. */
export function argmax(x: Tensor, dim: number = -1): Tensor {
  const d = resolveDims("argmax", dim, x.rank)[0]!;
  return firstPlace(attained(x, reduce(primitives.amax, x, d, true, "argmax")), d);
}
/** i32 index of the first minimum along dim, of the first NaN where there is one. */
export function argmin(x: Tensor, dim: number = -1): Tensor {
  const d = resolveDims("argmin", dim, x.rank)[0]!;
  return firstPlace(attained(x, least(x, d, true, "argmin")), d);
}

/** What tests know of these ops. */
export const sortingRecords: OpRecords = {
  sort: {
    tolerance: "exact",
    differentiable: true,
    dtypes: NUMBERS,
    sample: (g) => [...sampleAlong(g), g.boolean()],
    refuses: (g) => [["a switch that is none", "ConfigError", [g.tensor([3]), 0, "down"]]],
  },
  topk: {
    tolerance: "exact",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      const dim = g.integer(0, shape.length - 1);
      return [g.tensor(shape, { distinct: true, gap: 1e-2 }), g.size(shape[dim]!), dim];
    },
    dtypes: NUMBERS,
    refuses: (g) => [["more than there are", "ShapeError", [g.tensor([3]), 4]]],
  },
  argmax: {
    tolerance: "exact",
    differentiable: false,
    dtypes: NUMBERS,
    sample: sampleAlong,
    refuses: (g) => [["nothing to choose from", "ShapeError", [g.tensor([2, 0])]]],
  },
  argmin: {
    tolerance: "exact",
    differentiable: false,
    dtypes: NUMBERS,
    sample: sampleAlong,
    refuses: (g) => [["nothing to choose from", "ShapeError", [g.tensor([2, 0])]]],
  },
};
