/** Sums and maxima over dimensions, and what is made of them. */
import { isFloat } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { forEachIndex, formatShape, resolveDims, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { flagOf } from "./options.ts";
import type { NdArray, OpRecord, Primitive, SampleSource } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

type Dims = readonly number[] | number;

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

const sumPrimitive: Primitive = {
  name: "sum",
  lowering: { class: "reduce", combine: "sum" },
  cost: 1,
  reference: ([x], _attrs, shape) => fold(x!, shape, 0, (a, v) => a + v),
  vjp: (t, g, { inputs }) => [t.expand(g, inputs[0]!.shape)],
};

// Where several elements attain the maximum, each gets an equal share of the gradient, as torch's amax does.
const maxPrimitive: Primitive = {
  name: "amax",
  lowering: { class: "reduce", combine: "max" },
  cost: 1,
  reference: ([x], _attrs, shape) => fold(x!, shape, -Infinity, Math.max),
  vjp: (t, g, { inputs, output }) => {
    const x = inputs[0]!;
    const hit = t.cast(t.eq(x, t.expand(output, x.shape)), g.dtype);
    return [t.mul(hit, t.div(g, t.sum(hit, reducedDims(x.shape, output.shape), true)))];
  },
};

function reducedDims(from: readonly number[], to: readonly number[]): number[] {
  return from.flatMap((d, i) => (to[i] !== d ? [i] : []));
}

function reduce(
  t: Toolbox,
  primitive: Primitive,
  x: Tensor,
  dims: Dims | undefined,
  keepdim: boolean,
  op: string = primitive.name,
): Tensor {
  const list = resolveDims(op, dims, x.rank);
  const active = list.filter((d) => x.shape[d] !== 1);
  if (primitive === maxPrimitive && active.some((d) => x.shape[d] === 0))
    throw new ShapeError(`${op}: ${formatShape(x.shape)} has no elements to choose from`);
  flagOf(op, "keepdim", keepdim);
  const kept = x.shape.map((d, i) => (list.includes(i) ? 1 : d));
  const y = active.length === 0 ? x : t.make.node(primitive, [x], { dims: active }, kept, x.dtype);
  return keepdim
    ? y
    : t.reshape(
        y,
        x.shape.filter((_, i) => !list.includes(i)),
      );
}

function sampleReduction(g: SampleSource): readonly unknown[] {
  const shape = g.shape({ maxDim: 9 });
  const dims = shape.map((_, i) => i).filter(() => g.boolean());
  return [g.tensor(shape, { distinct: true, gap: 1e-2 }), dims.length === 0 ? undefined : dims, g.boolean()];
}

export const sum: OpRecord<[x: Tensor, dims?: Dims, keepdim?: boolean]> = {
  name: "sum",
  doc: "sum over dims (all when left out); bool and u8 are summed as i32, the widest integer there is (torch's i64); i32 and u32 wrap",
  precision: "full",
  tolerance: "reduction",
  differentiable: true,
  sample: sampleReduction,
  call: (t, x, dims, keepdim = false) =>
    reduce(t, sumPrimitive, x.dtype === "bool" || x.dtype === "u8" ? t.cast(x, "i32") : x, dims, keepdim),
};
export const amax: OpRecord<[x: Tensor, dims?: Dims, keepdim?: boolean]> = {
  name: "amax",
  doc: "maximum over dims (all when left out); NaN if any element is; tied elements share the gradient evenly",
  tolerance: "exact",
  differentiable: true,
  sample: sampleReduction,
  call: (t, x, dims, keepdim = false) => reduce(t, maxPrimitive, x, dims, keepdim),
};
/** What turns the order of `x` round, without overflow: −x of a float, ~x of an integer. */
function turned(t: Toolbox, x: Tensor): Tensor {
  if (isFloat(x.dtype)) return t.sub(0, x);
  return x.dtype === "bool" ? t.logicalNot(x) : t.sub(x.dtype === "i32" ? -1 : x.dtype === "u8" ? 255 : 4294967295, x);
}
function least(t: Toolbox, x: Tensor, dims: Dims | undefined, keepdim: boolean, op: string): Tensor {
  return turned(t, reduce(t, maxPrimitive, turned(t, x), dims, keepdim, op));
}
export const amin: OpRecord<[x: Tensor, dims?: Dims, keepdim?: boolean]> = {
  name: "amin",
  doc: "minimum over dims (all when left out); NaN if any element is; tied elements share the gradient evenly",
  tolerance: "exact",
  differentiable: true,
  sample: sampleReduction,
  call: (t, x, dims, keepdim = false) => least(t, x, dims, keepdim, "amin"),
};
export const mean: OpRecord<[x: Tensor, dims?: Dims, keepdim?: boolean]> = {
  name: "mean",
  doc: "arithmetic mean over dims (all when left out)",
  precision: "full",
  tolerance: "reduction",
  differentiable: true,
  sample: sampleReduction,
  call: (t, x, dims, keepdim = false) => {
    const values = isFloat(x.dtype) ? x : t.cast(x, x.device.defaultFloat);
    const count = resolveDims("mean", dims, x.rank).reduce((n, d) => n * x.shape[d]!, 1);
    return t.mul(t.sum(values, dims, keepdim), 1 / count);
  },
};

export const cumsum: OpRecord<[x: Tensor, dim: number]> = {
  name: "cumsum",
  doc: "running sum along dim (quadratic in its length); bool and u8 are summed as i32",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape({ minRank: 1, maxDim: 9 })), g.pick([0, -1])],
  call: (t, x, dim) => {
    const d = resolveDims("cumsum", dim, x.rank)[0]!;
    // y_i = Σ_j [j ≤ i] x_j, as one fused reduction: element (…, i, …) against a trailing j.
    const last = t.transpose(x, d, -1);
    const n = last.shape[last.rank - 1]!;
    const grid = t.expand(t.reshape(last, [...last.shape.slice(0, -1), 1, n]), [...last.shape.slice(0, -1), n, n]);
    const kept = t.le(t.iota(grid, -1), t.iota(grid, -2));
    return t.transpose(t.sum(t.where(kept, grid, 0), -1), d, -1);
  },
};

/** a < b in an order that NaN is last in, which makes it total, so that ranks are a permutation. */
function less(t: Toolbox, a: Tensor, b: Tensor): Tensor {
  return isFloat(a.dtype) ? t.logicalAnd(t.logicalNot(t.isnan(a)), t.logicalOr(t.isnan(b), t.lt(a, b))) : t.lt(a, b);
}

/** Order by counting: rank_i = how many elements come before i. Quadratic, stable, the same on every device; meant for thousands of elements, not millions. */
function order(t: Toolbox, x: Tensor, descending: boolean): { rank: Tensor } {
  const n = x.shape[x.rank - 1]!;
  const lead = x.shape.slice(0, -1);
  const i = t.reshape(x, [...lead, n, 1]);
  const j = t.reshape(x, [...lead, 1, n]);
  const grid = t.expand(j, [...lead, n, n]);
  const earlier = t.lt(t.iota(grid, -1), t.iota(grid, -2));
  const [ahead, behind] = descending ? [less(t, i, j), less(t, j, i)] : [less(t, j, i), less(t, i, j)];
  const before = t.logicalOr(ahead, t.logicalAnd(t.logicalNot(behind), earlier));
  return { rank: t.sum(t.cast(before, "i32"), -1) };
}

export interface Sorted {
  readonly values: Tensor;
  readonly indices: Tensor;
}

export const sort: OpRecord<[x: Tensor, dim?: number, descending?: boolean], Sorted> = {
  name: "sort",
  doc: "values in order along dim and the i32 indices they came from; stable; NaN counts as larger than anything, as in torch",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape({ minRank: 1, maxDim: 9 }), { distinct: true, gap: 1e-2 }), -1, g.boolean()],
  call: (t, x, dim = -1, descending = false) => {
    flagOf("sort", "descending", descending);
    const last = t.transpose(x, dim, -1);
    const n = last.shape[last.rank - 1]!;
    const lead = last.shape.slice(0, -1);
    const rank = t.reshape(order(t, t.detach(last), descending).rank, [...lead, 1, n]);
    const grid = t.expand(rank, [...lead, n, n]);
    // index at place p = Σ_i [rank_i = p] · i
    const place = t.where(t.eq(grid, t.iota(grid, -2)), t.expand(t.iota(grid, -1), grid.shape), t.make.scalar(0, rank));
    const indices = t.sum(place, -1);
    return { values: t.transpose(t.gather(last, -1, indices), dim, -1), indices: t.transpose(indices, dim, -1) };
  },
};

export const topk: OpRecord<[x: Tensor, k: number, dim?: number], Sorted> = {
  name: "topk",
  doc: "the k largest along dim, largest first (NaN before all), and their i32 indices",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1, maxDim: 9 });
    return [g.tensor(shape, { distinct: true, gap: 1e-2 }), g.size(shape[shape.length - 1]!), -1];
  },
  call: (t, x, k, dim = -1) => {
    const d = resolveDims("topk", dim, x.rank)[0]!;
    if (!Number.isInteger(k) || k < 0 || k > x.shape[d]!)
      throw new ShapeError(`topk: k = ${k} does not fit dimension ${dim} of ${formatShape(x.shape)}`);
    const { values, indices } = t.sort(x, d, true);
    return { values: t.slice(values, d, 0, k), indices: t.slice(indices, d, 0, k) };
  },
};

/** The place of the first element that `hit` marks; `hit` marks one at least. */
function firstPlace(t: Toolbox, hit: Tensor, d: number): Tensor {
  const n = hit.shape[d]!;
  // the first hit is the one with the largest n − index
  const score = t.sub(n, t.iota(hit, d));
  return t.sub(n, t.amax(t.where(hit, t.expand(score, hit.shape), t.make.scalar(0, score)), d));
}

/** Where `best` was found: NaN equals nothing, but it is the best where there is one. */
function attained(t: Toolbox, x: Tensor, best: Tensor): Tensor {
  return isFloat(x.dtype) ? t.logicalOr(t.eq(x, best), t.isnan(x)) : t.eq(x, best);
}

function sampleAlong(g: SampleSource): readonly unknown[] {
  return [g.tensor(g.shape({ minRank: 1, maxDim: 9 }), { distinct: true, gap: 1e-2 }), -1];
}

export const argmax: OpRecord<[x: Tensor, dim?: number]> = {
  name: "argmax",
  doc: "i32 index of the first maximum along dim, of the first NaN where there is one",
  tolerance: "exact",
  differentiable: false,
  sample: sampleAlong,
  call: (t, x, dim = -1) => {
    const d = resolveDims("argmax", dim, x.rank)[0]!;
    return firstPlace(t, attained(t, x, reduce(t, maxPrimitive, x, d, true, "argmax")), d);
  },
};
export const argmin: OpRecord<[x: Tensor, dim?: number]> = {
  name: "argmin",
  doc: "i32 index of the first minimum along dim, of the first NaN where there is one",
  tolerance: "exact",
  differentiable: false,
  sample: sampleAlong,
  call: (t, x, dim = -1) => {
    const d = resolveDims("argmin", dim, x.rank)[0]!;
    return firstPlace(t, attained(t, x, least(t, x, d, true, "argmin")), d);
  },
};
