/**
 * Random graphs of ops, described by whole numbers that shrink well and that each device reads in the same way: every step takes values that
 * are there already and adds one. Values stay small in size and mostly in magnitude.
 */
import { ops, RandomStream, sizeOf, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";

export interface Step {
  readonly op: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export interface Recipe {
  readonly seed: number;
  readonly rows: number;
  readonly cols: number;
  readonly steps: readonly Step[];
}

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.nat({ max: 999 }),
  a: fc.nat({ max: 99 }),
  b: fc.nat({ max: 99 }),
  c: fc.nat({ max: 99 }),
});

/** @param most steps in a graph */
export function recipes(most: number): fc.Arbitrary<Recipe> {
  return fc.record({
    seed: fc.nat({ max: 2 ** 31 - 1 }),
    rows: fc.integer({ min: 1, max: 5 }),
    cols: fc.integer({ min: 1, max: 9 }),
    steps: fc.array(step, { minLength: 1, maxLength: most }),
  });
}

const MOST_ELEMENTS = 400;

type Operation = (x: Tensor, y: Tensor, at: Step) => Tensor;

/** Rows of the last dimension, whatever the rank. */
function matrix(x: Tensor): Tensor {
  const cols = x.shape[x.rank - 1] ?? 1;
  return ops.reshape(x, [x.size / cols, cols]);
}
function dimOf(x: Tensor, c: number): number {
  return x.rank === 0 ? 0 : c % x.rank;
}
function line(x: Tensor): Tensor {
  return x.rank === 0 ? ops.reshape(x, [1]) : x;
}
function broadcasts(x: Tensor, y: Tensor): boolean {
  return y.shape.every((d, i) => {
    const e = x.shape[x.rank - y.rank + i] ?? 1;
    return d === 1 || e === 1 || d === e;
  });
}
/** y where the shapes fit, else its first element. */
function beside(x: Tensor, y: Tensor): Tensor {
  return broadcasts(x, y) ? y : ops.reshape(ops.slice(ops.flatten(y), 0, 0, 1), []);
}
function ids(x: Tensor, size: number): Tensor {
  const place = ops.iota(line(ops.flatten(x)), 0);
  return ops.cast(ops.mul(ops.cast(ops.lt(place, size), "i32"), ops.minimum(place, size - 1)), "i32");
}

/** Smooth everywhere: their graphs can be differentiated twice by differences. */
const SMOOTH: Readonly<Record<string, Operation>> = {
  add: (x, y) => ops.add(x, beside(x, y)),
  sub: (x, y) => ops.sub(beside(x, y), x),
  mul: (x, y) => ops.mul(x, beside(x, y)),
  div: (x, y) => ops.div(x, ops.add(ops.square(beside(x, y)), 0.5)),
  scale: (x, _y, { c }) => ops.mul(x, (c - 50) / 30),
  tanh: (x) => ops.tanh(x),
  sigmoid: (x) => ops.sigmoid(x),
  gelu: (x, _y, { c }) => ops.gelu(x, c % 2 === 0 ? "none" : "tanh"),
  silu: (x) => ops.silu(x),
  erf: (x) => ops.erf(x),
  sin: (x) => ops.sin(x),
  cos: (x) => ops.cos(x),
  exp: (x) => ops.exp(ops.tanh(x)),
  log: (x) => ops.log(ops.add(ops.square(x), 0.25)),
  sqrt: (x) => ops.sqrt(ops.add(ops.square(x), 0.25)),
  rsqrt: (x) => ops.rsqrt(ops.add(ops.square(x), 0.25)),
  sum: (x, _y, { b, c }) => ops.sum(x, b % 2 === 0 || x.rank === 0 ? undefined : dimOf(x, c), c % 3 === 0),
  mean: (x, _y, { c }) => (x.rank === 0 ? ops.mean(x) : ops.mean(x, dimOf(x, c), true)),
  cumsum: (x, _y, { c }) => ops.cumsum(line(x), dimOf(x, c)),
  softmax: (x, _y, { c }) => ops.softmax(line(x), dimOf(x, c)),
  logSoftmax: (x, _y, { c }) => ops.logSoftmax(line(x), dimOf(x, c)),
  logsumexp: (x, _y, { c }) => ops.logsumexp(line(x), dimOf(x, c)),
  rmsNorm: (x) => ops.rmsNorm(line(x), ops.cos(ops.cast(ops.iota(line(x), -1), x.dtype)).flatten(), 0.1),
  layerNorm: (x) => {
    const w = ops.cos(ops.cast(ops.iota(line(x), -1), x.dtype)).flatten();
    return ops.layerNorm(line(x), w, ops.mul(w, 0.3), 0.1);
  },
  gram: (x) => ops.matmul(matrix(x), ops.transpose(matrix(x))),
  product: (x, y) => {
    const [p, q] = [matrix(x), matrix(y)];
    return p.shape[1] === q.shape[0] ? ops.matmul(p, q) : ops.matmul(ops.transpose(p), p);
  },
  transpose: (x) => (x.rank < 2 ? x : ops.transpose(x)),
  flatten: (x) => ops.flatten(x),
  split: (x) => (x.size % 2 === 0 ? ops.reshape(x, [2, x.size / 2]) : x),
  slice: (x, _y, { b, c }) => {
    const d = dimOf(x, c);
    const n = line(x).shape[d]!;
    return b % 3 === 0 ? ops.slice(line(x), d, n - 1, -1, -1) : ops.slice(line(x), d, b % n, n, 1 + (b % 2));
  },
  pad: (x, _y, { b, c }) =>
    ops.pad(
      x,
      x.shape.map((_, d) => [(b + d) % 2, c % 2] as const),
      0.5,
    ),
  concat: (x, _y, { c }) => ops.concat([line(x), ops.neg(line(x))], dimOf(x, c)),
  gather: (x) => ops.gatherRows(line(x), ids(x, line(x).shape[0]!)),
  scatter: (x) => ops.scatterRows(ids(x, 3), ops.flatten(x), 3),
  checked: (x, y) => ops.where(ops.lt(ops.iota(line(x), -1), 2), line(x), ops.mul(beside(line(x), y), 0.5)),
};

/** Corners, jumps and half precision. */
const OTHER: Readonly<Record<string, Operation>> = {
  abs: (x) => ops.abs(x),
  relu: (x) => ops.relu(x),
  maximum: (x, y) => ops.maximum(x, beside(x, y)),
  minimum: (x, y) => ops.minimum(x, beside(x, y)),
  amax: (x, _y, { c }) => (x.rank === 0 ? ops.amax(x) : ops.amax(x, dimOf(x, c), true)),
  where: (x, y) => ops.where(ops.gt(x, 0.1), x, beside(x, y)),
  half: (x) => ops.cast(ops.cast(x, "f16"), x.dtype),
  brain: (x) => ops.cast(ops.cast(x, "bf16"), x.dtype),
  halfSum: (x) => ops.cast(ops.add(ops.cast(x, "f16"), ops.cast(ops.tanh(x), "f16")), x.dtype),
  sort: (x) => ops.sort(line(x)).values,
};

/** Each element comes from one element of each operand. */
const ELEMENTWISE = new Set(
  "add sub mul div scale tanh sigmoid gelu silu erf sin cos exp log sqrt rsqrt transpose flatten split slice pad concat gather checked abs relu maximum minimum where half brain halfSum".split(
    " ",
  ),
);

/** Which ops a graph is made of: all, those that can be differentiated twice, or those that add nothing up. */
export type Kind = "any" | "smooth" | "elementwise";

const ALL = Object.entries({ ...SMOOTH, ...OTHER });
const OPERATIONS: Readonly<Record<Kind, readonly (readonly [string, Operation])[]>> = {
  any: ALL,
  smooth: Object.entries(SMOOTH),
  elementwise: ALL.filter(([name]) => ELEMENTWISE.has(name)),
};

export interface Graph {
  readonly leaves: readonly Tensor[];
  /** Every value that a step made, in order. */
  readonly values: readonly Tensor[];
}

export interface GraphOptions {
  /** Default `any`. */
  readonly kind?: Kind;
  /** Numbers added to the first leaf, one for each of its elements. */
  readonly shift?: Float64Array;
}

export function buildGraph(recipe: Recipe, device: Device, options: GraphOptions = {}): Graph {
  const stream = new RandomStream(recipe.seed, "graph");
  const leaf = (shape: readonly number[], shift?: Float64Array): Tensor =>
    device.tensor(
      Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(4 * stream.uniform() - 2) + (shift?.[i] ?? 0)),
      shape,
      device.defaultFloat,
    );
  const { rows, cols } = recipe;
  const leaves = [leaf([rows, cols], options.shift), leaf([cols]), leaf([cols, rows])];
  const pool = [...leaves];
  const operations = OPERATIONS[options.kind ?? "any"];
  for (const at of recipe.steps) {
    // what was made last is taken often, so that graphs are deep
    const x = pool[at.c % 2 === 0 ? pool.length - 1 : at.a % pool.length]!;
    const made = operations[at.op % operations.length]![1](x, pool[at.b % pool.length]!, at);
    if (made.size <= MOST_ELEMENTS && made.size > 0) pool.push(made);
  }
  return { leaves, values: pool.slice(leaves.length) };
}

/** For people: which ops a recipe is made of. */
export function nameSteps({ steps }: Recipe, kind: Kind = "any"): string {
  const operations = OPERATIONS[kind];
  return steps.map((s) => operations[s.op % operations.length]![0]).join(" ");
}
