/**
 * How primitives differentiate: a table, a row each. Rules are made of ops, so gradients are graphs like any other and can be
 * differentiated again. A primitive without a row passes no gradient on.
 */
import { isFloat } from "./dtype.ts";
import { knownOnHost } from "./graph/index-checks.ts";
import { add, div, eq, ge, gt, le, logicalAnd, lt, mul } from "./ops/binary.ts";
import { dynamicUpdate } from "./ops/dynamic-update.ts";
import { scalar } from "./ops/make.ts";
import { matmul } from "./ops/matmul.ts";
import { sum } from "./ops/reductions.ts";
import { gatherRows, indexSelect, scatterRows } from "./ops/rows.ts";
import { cast, iota, where } from "./ops/sources.ts";
import { neg, unaryGradients } from "./ops/unary.ts";
import { expand, pad, permute, reshape, slice, transpose } from "./ops/views.ts";
import * as binary from "./primitives/binary.ts";
import * as choices from "./primitives/choices.ts";
import type { Attrs, Primitive } from "./primitives/primitive.ts";
import * as products from "./primitives/products.ts";
import * as reductions from "./primitives/reductions.ts";
import type { UnaryOp } from "./primitives/scalar.ts";
import { unary } from "./primitives/unary.ts";
import * as views from "./primitives/views.ts";
import type { Tensor } from "./tensor.ts";

export interface Differentiated {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly attrs: Attrs;
}

/** Gradient with respect to each input, from that of the output; undefined where there is none. */
export type GradientRule = (g: Tensor, node: Differentiated) => readonly (Tensor | undefined)[];

const rules: ReadonlyMap<Primitive, GradientRule> = new Map<Primitive, GradientRule>([
  ...Object.entries(unaryGradients).map(([op, rule]): [Primitive, GradientRule] => [
    unary[op as UnaryOp],
    (g, { inputs, output }) => [rule(g, inputs[0]!, output)],
  ]),

  [binary.add, (g) => [g, g]],
  [binary.sub, (g) => [g, neg(g)]],
  [binary.mul, (g, { inputs: [a, b] }) => [mul(g, b!), mul(g, a!)]],
  // ∂(a/b)/∂b = −(a/b)/b
  [binary.div, (g, { inputs: [, b], output }) => [div(g, b!), neg(mul(g, div(output, b!)))]],
  [binary.maximum, (g, { inputs: [a, b] }) => extremum(g, a!, b!, gt)],
  [binary.minimum, (g, { inputs: [a, b] }) => extremum(g, a!, b!, lt)],

  [choices.cast, (g, { inputs: [x] }) => [isFloat(x!.dtype) ? cast(g, x!.dtype) : undefined]],
  [
    choices.where,
    (g, { inputs: [condition] }) => {
      const zero = scalar(0, g);
      return [undefined, where(condition!, g, zero), where(condition!, zero, g)];
    },
  ],

  [views.reshape, (g, { inputs: [x] }) => [reshape(g, x!.shape)]],
  [
    views.permute,
    (g, { attrs }) => {
      const dims = attrs["dims"] as readonly number[];
      return [
        permute(
          g,
          dims.map((_, i) => dims.indexOf(i)),
        ),
      ];
    },
  ],
  [
    views.expand,
    (g, { inputs: [x] }) => {
      const repeated = x!.shape.flatMap((d, i) => (d === 1 && g.shape[i] !== 1 ? [i] : []));
      return [sum(g, repeated, true)];
    },
  ],
  [
    views.slice,
    (g, { inputs: [x], attrs }) => {
      const starts = attrs["starts"] as readonly number[];
      const steps = attrs["steps"] as readonly number[];
      return [steps.reduce((out, step, d) => undoSlice(out, d, { start: starts[d]!, step, size: x!.shape[d]! }), g)];
    },
  ],
  [
    views.pad,
    (g, { inputs: [x], attrs }) => {
      const low = attrs["low"] as readonly number[];
      return [x!.shape.reduce((out, size, d) => slice(out, d, low[d]!, low[d]! + size), g)];
    },
  ],
  [views.barrier, (g) => [g, undefined]],

  [reductions.sum, (g, { inputs: [x] }) => [expand(g, x!.shape)]],
  // where several elements attain the maximum, each gets an equal share, as torch's amax does
  [
    reductions.amax,
    (g, { inputs, output }) => {
      const x = inputs[0]!;
      const hit = cast(eq(x, expand(output, x.shape)), g.dtype);
      const reduced = x.shape.flatMap((d, i) => (output.shape[i] !== d ? [i] : []));
      return [mul(hit, div(g, sum(hit, reduced, true)))];
    },
  ],

  // dA = G·Bᵀ, dB = Aᵀ·G
  [products.matmul, (g, { inputs: [a, b] }) => [matmul(g, transpose(b!)), matmul(transpose(a!), g)]],
  [products.gatherRows, (g, { inputs: [table, ids] }) => [scatterRows(ids!, g, table!.shape[0]!), undefined]],
  [
    products.dynamicUpdate,
    (g, { inputs: [, block, at], attrs }) => {
      const dim = attrs["dim"] as number;
      const length = block!.shape[dim]!;
      const nothing = expand(scalar(0, g), block!.shape);
      const there = indexSelect(g, dim, add(at!, reshape(iota(block!, dim), [length])));
      // a block that did not fit was not written; where the host knows the position, no run begins with such a one
      const fits = knownOnHost(at!.node) ? undefined : logicalAnd(ge(at!, 0), le(at!, g.shape[dim]! - length));
      return [dynamicUpdate(g, nothing, at!, dim), fits === undefined ? there : where(fits, there, nothing), undefined];
    },
  ],
  [products.scatterRows, (g, { inputs: [ids] }) => [undefined, gatherRows(g, ids!)]],
  [
    products.assemble,
    (g, { inputs }) => {
      let end = 0;
      return inputs.map(({ shape: [rows] }) => slice(g, 0, end, (end += rows!)));
    },
  ],
]);

export function gradientRule(primitive: Primitive): GradientRule | undefined {
  return rules.get(primitive);
}

/** Where a and b tie, each gets half the gradient, as torch does. */
function extremum(g: Tensor, a: Tensor, b: Tensor, better: (a: Tensor, b: Tensor) => Tensor): [Tensor, Tensor] {
  const half = mul(g, 0.5);
  const zero = mul(g, 0);
  const wins = better(a, b);
  const ties = eq(a, b);
  return [where(ties, half, where(wins, g, zero)), where(ties, half, where(wins, zero, g))];
}

interface Slice {
  readonly start: number;
  readonly step: number;
  /** Of the dimension that was sliced. */
  readonly size: number;
}

/** Puts the elements of a strided slice back to where they came from, zeros between: dilate by reshape, then pad or cut. */
function undoSlice(g: Tensor, d: number, { start, step, size }: Slice): Tensor {
  const n = g.shape[d]!;
  if (start === 0 && step === 1 && n === size) return g;
  const at = <T>(value: T, rest: T): T[] => g.shape.map((_, i) => (i === d ? value : rest));
  let out = g;
  let first = start;
  const stride = Math.abs(step);
  if (step < 0) {
    out = slice(out, d, n - 1, -1, -1);
    first = start + (n - 1) * step;
  }
  if (stride > 1) {
    const before = out.shape.slice(0, d);
    const after = out.shape.slice(d + 1);
    const spread = pad(reshape(out, [...before, n, 1, ...after]), [
      ...before.map((): [number, number] => [0, 0]),
      [0, 0],
      [0, stride - 1],
      ...after.map((): [number, number] => [0, 0]),
    ]);
    out = slice(reshape(spread, [...before, n * stride, ...after]), d, 0, (n - 1) * stride + 1);
  }
  const length = out.shape[d]!;
  return pad(out, at<[number, number]>([first, size - first - length], [0, 0]));
}
