/** Sums and maxima over dimensions, and what is made of them. */
import { isFloat } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import type { Primitive } from "../primitives/primitive.ts";
import * as primitives from "../primitives/reductions.ts";
import { formatShape, resolveDims } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { le, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { makeNode } from "./make.ts";
import { flagOf } from "./options.ts";
import { ALL_DTYPES, type OpRecords, type Refusal, type SampleSource } from "./record.ts";
import { cast, iota, where } from "./sources.ts";
import { logicalNot } from "./unary.ts";
import { expand, reshape, transpose } from "./views.ts";

type Dims = readonly number[] | number;

// Where several elements attain the maximum, each gets an equal share of the gradient, as torch's amax does.

/** x with `dims` reduced. `op` is who asks, for messages. */
export function reduce(
  primitive: Primitive,
  x: Tensor,
  dims: Dims | undefined,
  keepdim: boolean,
  op: string = primitive.name,
): Tensor {
  const list = resolveDims(op, dims, x.rank);
  const active = list.filter((d) => x.shape[d] !== 1);
  if (primitive === primitives.amax && active.some((d) => x.shape[d] === 0))
    throw new ShapeError(`${op}: ${formatShape(x.shape)} has no elements to choose from`);
  flagOf(op, "keepdim", keepdim);
  const kept = x.shape.map((d, i) => (list.includes(i) ? 1 : d));
  const y = active.length === 0 ? x : makeNode(primitive, [x], { dims: active }, kept, x.dtype);
  return keepdim
    ? y
    : reshape(
        y,
        x.shape.filter((_, i) => !list.includes(i)),
      );
}

function sampleReduction(g: SampleSource): readonly unknown[] {
  const shape = g.shape({ maxDim: 9 });
  const dims = shape.map((_, i) => i).filter(() => g.boolean());
  return [g.tensor(shape, { distinct: true, gap: 1e-2 }), dims.length === 0 ? undefined : dims, g.boolean()];
}

/**
 * Sum over dims (all when left out); bool and u8 are summed as i32, the widest integer there is (torch's i64); i32 and
 * u32 wrap.
 */
export const sum: (x: Tensor, dims?: Dims, keepdim?: boolean) => Tensor = /* @__PURE__ */ inPrecision(
  "full",
  (x, dims, keepdim = false) =>
    reduce(primitives.sum, x.dtype === "bool" || x.dtype === "u8" ? cast(x, "i32") : x, dims, keepdim),
);
/** Maximum over dims (all when left out); NaN if any element is; tied elements share the gradient evenly. */
export function amax(x: Tensor, dims?: Dims, keepdim: boolean = false): Tensor {
  return reduce(primitives.amax, x, dims, keepdim);
}
/** What turns the order of `x` round, without overflow: −x of a float, ~x of an integer. */
function turned(x: Tensor): Tensor {
  if (isFloat(x.dtype)) return sub(0, x);
  return x.dtype === "bool" ? logicalNot(x) : sub(x.dtype === "i32" ? -1 : x.dtype === "u8" ? 255 : 4294967295, x);
}
export function least(x: Tensor, dims: Dims | undefined, keepdim: boolean, op: string): Tensor {
  return turned(reduce(primitives.amax, turned(x), dims, keepdim, op));
}
/** Minimum over dims (all when left out); NaN if any element is; tied elements share the gradient evenly. */
export function amin(x: Tensor, dims?: Dims, keepdim: boolean = false): Tensor {
  return least(x, dims, keepdim, "amin");
}
/** Arithmetic mean over dims (all when left out). */
export const mean: (x: Tensor, dims?: Dims, keepdim?: boolean) => Tensor = /* @__PURE__ */ inPrecision(
  "full",
  (x, dims, keepdim = false) => {
    const values = isFloat(x.dtype) ? x : cast(x, x.device.defaultFloat);
    const count = resolveDims("mean", dims, x.rank).reduce((n, d) => n * x.shape[d]!, 1);
    return mul(sum(values, dims, keepdim), 1 / count);
  },
);

/** Running sum along dim (quadratic in its length); bool and u8 are summed as i32. */
export function cumsum(x: Tensor, dim: number): Tensor {
  const d = resolveDims("cumsum", dim, x.rank)[0]!;
  // y_i = Σ_j [j ≤ i] x_j, as one fused reduction: element (…, i, …) against a trailing j.
  const last = transpose(x, d, -1);
  const n = last.shape[last.rank - 1]!;
  const grid = expand(reshape(last, [...last.shape.slice(0, -1), 1, n]), [...last.shape.slice(0, -1), n, n]);
  const kept = le(iota(grid, -1), iota(grid, -2));
  return transpose(sum(where(kept, grid, 0), -1), d, -1);
}

function refuseReduction(g: SampleSource): readonly Refusal[] {
  return [
    ["a dimension that there is not", "ShapeError", [g.tensor([2, 3]), 2]],
    ["a dimension named twice", "ShapeError", [g.tensor([2, 3]), [1, -1]]],
    ["dims that are no numbers", "ShapeError", [g.tensor([2, 3]), "1"]],
    ["keepdim that is no switch", "ConfigError", [g.tensor([2, 3]), 1, "yes"]],
  ];
}

function refuseExtremum(g: SampleSource): readonly Refusal[] {
  return [...refuseReduction(g), ["nothing to choose from", "ShapeError", [g.tensor([2, 0]), 1]]];
}

/** What tests know of these ops. */
export const reductionsRecords: OpRecords = {
  sum: {
    tolerance: "reduction",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: sampleReduction,
    refuses: refuseReduction,
  },
  amax: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: sampleReduction,
    refuses: refuseExtremum,
  },
  amin: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: sampleReduction,
    refuses: refuseExtremum,
  },
  mean: {
    tolerance: "reduction",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: sampleReduction,
    refuses: refuseReduction,
  },
  cumsum: {
    tolerance: "reduction",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      return [g.tensor(shape), g.integer(-shape.length, shape.length - 1)];
    },
    refuses: (g) => [["a dimension that there is not", "ShapeError", [g.tensor([2, 3]), 2]]],
  },
};
