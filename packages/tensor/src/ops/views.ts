/** Views: they move no data. The scheduler turns them into index arithmetic. */
import { ShapeError } from "../errors.ts";
import { checkNumber } from "../host-values.ts";
import { broadcastShapes, dot, forEachIndex, formatShape, resolveDim, sameShape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { NdArray, OpRecord, Primitive } from "./record.ts";

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

const reshapePrimitive: Primitive = {
  name: "reshape",
  lowering: { class: "view", view: "reshape" },
  cost: 0,
  reference: ([x]) => x!.data,
  vjp: (t, g, { inputs }) => [t.reshape(g, inputs[0]!.shape)],
};
export const reshape: OpRecord<[x: Tensor, shape: readonly number[]]> = {
  name: "reshape",
  doc: "the same elements in row-major order under another shape; one dimension may be −1",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    return [g.tensor(shape), g.boolean() ? [-1] : [...shape].reverse()];
  },
  call: (t, x, wanted) => {
    const known = wanted.reduce((p, d) => (d === -1 ? p : p * d), 1);
    const shape = wanted.map((d) => (d === -1 ? x.size / Math.max(known, 1) : d));
    if (sizeOf(shape) !== x.size || shape.some((d) => !Number.isInteger(d) || d < 0)) {
      throw new ShapeError(`reshape: ${formatShape(x.shape)} has ${x.size} elements, ${formatShape(wanted)} does not`);
    }
    return sameShape(shape, x.shape) ? x : t.make.node(reshapePrimitive, [x], {}, shape, x.dtype);
  },
};

const permutePrimitive: Primitive = {
  name: "permute",
  lowering: { class: "view", view: "permute" },
  cost: 0,
  reference: ([x], attrs, shape) => {
    const dims = attrs["dims"] as number[];
    const strides = stridesOf(x!.shape);
    const moved = dims.map((d) => strides[d]!);
    return remap(x!, shape, (index) => dot(index, moved));
  },
  vjp: (t, g, { attrs }) => {
    const dims = attrs["dims"] as number[];
    return [
      t.permute(
        g,
        dims.map((_, i) => dims.indexOf(i)),
      ),
    ];
  },
};
export const permute: OpRecord<[x: Tensor, dims: readonly number[]]> = {
  name: "permute",
  doc: "dimension d of the result is dimension dims[d] of x",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    const dims = shape.map((_, i) => i);
    const by = g.integer(0, shape.length - 1);
    return [g.tensor(shape), [...dims.slice(by), ...dims.slice(0, by)]];
  },
  call: (t, x, wanted) => {
    const dims = wanted.map((d) => resolveDim("permute", d, x.rank));
    if (dims.length !== x.rank || new Set(dims).size !== x.rank)
      throw new ShapeError(
        `permute: [${wanted.join(", ")}] is not an order of the ${x.rank} dimensions of ${formatShape(x.shape)}`,
      );
    if (dims.every((d, i) => d === i)) return x;
    return t.make.node(
      permutePrimitive,
      [x],
      { dims },
      dims.map((d) => x.shape[d]!),
      x.dtype,
    );
  },
};
export const transpose: OpRecord<[x: Tensor, a?: number, b?: number]> = {
  name: "transpose",
  doc: "x with dimensions a and b swapped (default the last two)",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape({ minRank: 2 })), -1, 0],
  call: (t, x, a = -2, b = -1) => {
    const dims = x.shape.map((_, i) => i);
    const [i, j] = [resolveDim("transpose", a, x.rank), resolveDim("transpose", b, x.rank)];
    [dims[i], dims[j]] = [dims[j]!, dims[i]!];
    return t.permute(x, dims);
  },
};

const expandPrimitive: Primitive = {
  name: "expand",
  lowering: { class: "view", view: "expand" },
  cost: 0,
  reference: ([x], _attrs, shape) => {
    const strides = stridesOf(x!.shape).map((s, d) => (x!.shape[d] === 1 ? 0 : s));
    return remap(x!, shape, (index) => dot(index, strides));
  },
  vjp: (t, g, { inputs }) => {
    const from = inputs[0]!.shape;
    return [
      t.sum(
        g,
        from.flatMap((d, i) => (d === 1 && g.shape[i] !== 1 ? [i] : [])),
        true,
      ),
    ];
  },
};
export const expand: OpRecord<[x: Tensor, shape: readonly number[]]> = {
  name: "expand",
  doc: "x repeated along dimensions of size 1 (and new leading ones) to `shape`",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape();
    return [g.tensor(shape.map((d) => (g.boolean() ? 1 : d))), [2, ...shape]];
  },
  call: (t, x, shape) => {
    if (sameShape(x.shape, shape)) return x;
    const target = broadcastShapes("expand", x.shape, shape);
    if (!sameShape(target, shape))
      throw new ShapeError(`expand: ${formatShape(x.shape)} does not expand to ${formatShape(shape)}`);
    const aligned = t.reshape(x, [...new Array<number>(shape.length - x.rank).fill(1), ...x.shape]);
    return sameShape(aligned.shape, shape) ? aligned : t.make.node(expandPrimitive, [aligned], {}, [...shape], x.dtype);
  },
};

const slicePrimitive: Primitive = {
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
  vjp: (t, g, { inputs, attrs }) => {
    const starts = attrs["starts"] as number[];
    const steps = attrs["steps"] as number[];
    let out = g;
    for (let d = 0; d < steps.length; d++) out = undoSlice(t, out, d, starts[d]!, steps[d]!, inputs[0]!.shape[d]!);
    return [out];
  },
};

/** Puts the elements of a strided slice back to where they came from, zeros between: dilate by reshape, then pad or cut. */
function undoSlice(
  t: Parameters<typeof slice.call>[0],
  g: Tensor,
  d: number,
  start: number,
  step: number,
  size: number,
): Tensor {
  const n = g.shape[d]!;
  if (start === 0 && step === 1 && n === size) return g;
  const at = <T>(value: T, rest: T): T[] => g.shape.map((_, i) => (i === d ? value : rest));
  let out = g;
  let first = start;
  const stride = Math.abs(step);
  if (step < 0) {
    out = t.slice(out, d, n - 1, -1, -1);
    first = start + (n - 1) * step;
  }
  if (stride > 1) {
    const before = out.shape.slice(0, d);
    const after = out.shape.slice(d + 1);
    const spread = t.pad(t.reshape(out, [...before, n, 1, ...after]), [
      ...before.map((): [number, number] => [0, 0]),
      [0, 0],
      [0, stride - 1],
      ...after.map((): [number, number] => [0, 0]),
    ]);
    out = t.slice(t.reshape(spread, [...before, n * stride, ...after]), d, 0, (n - 1) * stride + 1);
  }
  const length = out.shape[d]!;
  return t.pad(out, at<[number, number]>([first, size - first - length], [0, 0]));
}

export const slice: OpRecord<[x: Tensor, dim: number, start: number, end: number, step?: number]> = {
  name: "slice",
  doc: "elements start, start + step, … before `end` along dim; a negative start counts from the back, so does a negative end; a negative step runs backwards, and `end` −1 then means past the first",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    const dim = g.integer(0, shape.length - 1);
    const n = shape[dim]!;
    if (n === 0) return [g.tensor(shape), dim, 0, 0];
    if (g.boolean()) return [g.tensor(shape), dim, n - 1, -1, -1];
    const start = g.integer(0, n - 1);
    return [g.tensor(shape), dim, start, g.integer(start + 1, n), g.integer(1, 3)];
  },
  call: (t, x, dim, start, end, step = 1) => {
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
    return t.make.node(
      slicePrimitive,
      [x],
      { starts, steps },
      x.shape.map((s, i) => (i === d ? length : s)),
      x.dtype,
    );
  },
};

const padPrimitive: Primitive = {
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
  vjp: (t, g, { inputs, attrs }) => {
    const low = attrs["low"] as number[];
    let out = g;
    inputs[0]!.shape.forEach((size, d) => {
      out = t.slice(out, d, low[d]!, low[d]! + size);
    });
    return [out];
  },
};
export const pad: OpRecord<[x: Tensor, pairs: readonly (readonly [number, number])[], value?: number]> = {
  name: "pad",
  doc: "x with pairs[d] = [before, after] elements of `value` around each dimension",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape();
    return [g.tensor(shape), shape.map(() => [g.integer(0, 2), g.integer(0, 2)]), 0.5];
  },
  call: (t, x, pairs, value = 0) => {
    if (pairs.length !== x.rank) throw new ShapeError(`pad: ${pairs.length} pairs for a tensor of rank ${x.rank}`);
    if (pairs.some((pair) => pair.length !== 2 || pair.some((w) => !Number.isInteger(w) || w < 0)))
      throw new ShapeError(
        "pad: amounts must be whole numbers and not negative, two for each dimension; use slice to cut",
      );
    checkNumber("pad", x.dtype, value);
    if (pairs.every(([a, b]) => a === 0 && b === 0)) return x;
    return t.make.node(
      padPrimitive,
      [x],
      { low: pairs.map(([a]) => a), value },
      x.shape.map((s, d) => s + pairs[d]![0] + pairs[d]![1]),
      x.dtype,
    );
  },
};

const aliasPrimitive: Primitive = {
  name: "detach",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
};
export const detach: OpRecord<[x: Tensor]> = {
  name: "detach",
  doc: "x, with no gradient through it",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.make.node(aliasPrimitive, [x], {}, x.shape, x.dtype),
};

const barrierPrimitive: Primitive = {
  name: "barrier",
  lowering: { class: "view", view: "alias" },
  cost: 0,
  reference: ([x]) => x!.data,
  vjp: (_t, g) => [g, undefined],
};
/** x, but not before `after` has been computed: recomputation in the backward pass must not be merged with the forward pass. */
export const barrier: OpRecord<[x: Tensor, after: Tensor]> = {
  name: "barrier",
  doc: "x, available only after another tensor",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape()), g.tensor([]), 0],
  call: (t, x, after) => t.make.node(barrierPrimitive, [x, after], {}, x.shape, x.dtype),
};
