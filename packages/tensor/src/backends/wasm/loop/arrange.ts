/**
 * How a loop kernel is laid out in code: which dimension the four lanes run along, in which order the others nest, how the
 * work is cut into units. Decides speed only; any choice computes the kernel.
 */
import type { BodyFacts } from "../../../ir/facts.ts";
import { bodyFacts, indexOperands, reachable } from "../../../ir/facts.ts";
import type { Index, LoopKernel } from "../../../ir/kernel.ts";
import { instrWeight } from "./weight.ts";

/**
 * Nesting depths: 0 the function, 1 a row, then (lanes along an outer dimension) 2 the lane group, then the inner
 * dimensions from the outside in; lanes along an inner dimension come last.
 */
export interface Arrangement {
  readonly facts: BodyFacts;
  readonly live: readonly boolean[];
  /** -1 when there is no dimension at all. */
  readonly laneDim: number;
  readonly laneInner: boolean;
  /** Outer dimensions other than the lane dimension; their product is the number of rows. */
  readonly rowDims: readonly number[];
  /** Loops inside a row (or lane group), outermost first. */
  readonly innerDims: readonly number[];
  /** Of each dimension. */
  readonly depth: readonly number[];
  /** Where passes run and reductions are known: 1, or 2 when lanes run along an outer dimension. */
  readonly baseDepth: number;
  /** Of each value. */
  readonly valueDepth: readonly number[];
  readonly units: Units;
}

/** Unit u covers rows [⌊u / chunks⌋·rowsPerUnit, …) and, where lanes run along an outer dimension, chunk u mod chunks of it. */
export interface Units {
  readonly rows: number;
  readonly rowsPerUnit: number;
  readonly chunk: number;
  readonly chunks: number;
  readonly count: number;
}

/** Elements in a unit of cheap elementwise work: large enough to hide a unit's overhead, small enough to balance threads. */
const UNIT_ELEMENTS = 4096;
/** Columns that lanes along an outer dimension take together: two cache lines of f32. */
export const COLUMN_GROUP = 32;

export function arrange(kernel: LoopKernel): Arrangement {
  const { body, stores, outer, inner } = kernel;
  const shape = [...outer, ...inner];
  const facts = bodyFacts(body, outer.length, shape.length);
  const live = reachable(
    body,
    stores.flatMap((s) => [s.value, ...indexOperands(s.index)]),
  );
  const laneDim = chooseLaneDim(kernel, shape, facts, live);
  const laneInner = laneDim >= outer.length;
  const rowDims = outer.map((_, d) => d).filter((d) => d !== laneDim);
  const innerDims = inner.map((_, i) => outer.length + i).filter((d) => d !== laneDim);
  if (laneInner) innerDims.push(laneDim);
  const baseDepth = laneInner || laneDim < 0 ? 1 : 2;
  const depth = shape.map((_, d) =>
    d === laneDim && !laneInner ? 2 : d < outer.length ? 1 : baseDepth + 1 + innerDims.indexOf(d),
  );
  const valueDepth = body.map((_, v) => dimsDepth(facts.dims[v]!, depth, facts.stage[v]! > 0 ? baseDepth : 0));
  return {
    facts,
    live,
    laneDim,
    laneInner,
    rowDims,
    innerDims,
    depth,
    baseDepth,
    valueDepth,
    units: cutUnits(shape, inner, rowDims, laneInner ? -1 : laneDim),
  };
}

export function dimsDepth(dims: number, depth: readonly number[], least = 0): number {
  return depth.reduce((deepest, at, d) => (dims & (1 << d) ? Math.max(deepest, at) : deepest), least);
}

/** The dimension along which a body costs least: contiguous accesses are cheap, gathers are not, short dimensions waste lanes. */
function chooseLaneDim(
  kernel: LoopKernel,
  shape: readonly number[],
  facts: BodyFacts,
  live: readonly boolean[],
): number {
  const { body, stores, outer, inner } = kernel;
  let best = -1;
  let least = Infinity;
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = shape[d]!;
    // lanes along an outer dimension walk down columns. Added, not multiplied: arithmetic must not decide in which order sums are taken
    let cost = inner.length > 0 && d < outer.length ? 0.4 : 0.2;
    const access = (index: Index): number => {
      const moves = (index.strides[d] ?? 0) !== 0;
      const dynamic = (index.dynamic ?? []).some((t) => facts.dims[t.value]! & (1 << d));
      return dynamic || (moves && index.strides[d] !== 1) ? 1.5 : moves ? 0.2 : 0.1;
    };
    body.forEach((instr, v) => {
      if (!live[v]) return;
      cost += instr.op === "load" ? access(instr.index) : instrWeight(instr, kernel.args);
      if (instr.op === "reduce" && d >= outer.length) cost += 1 / Math.max(size, 1);
    });
    for (const store of stores)
      cost += access(store.index) * (d < outer.length || facts.dims[store.value]! >>> outer.length ? 1 : 0.1);
    // Lanes left empty: a dimension of 6 takes one vector and two scalars.
    cost *= size > 0 ? (4 * (Math.floor(size / 4) + (size % 4))) / size : 1;
    if (cost < least) {
      least = cost;
      best = d;
    }
  }
  return best;
}

function cutUnits(
  shape: readonly number[],
  inner: readonly number[],
  rowDims: readonly number[],
  laneOuterDim: number,
): Units {
  const rows = rowDims.reduce((n, d) => n * shape[d]!, 1);
  const perPoint = Math.max(
    1,
    inner.reduce((n, size) => n * size, 1),
  );
  const lanes = laneOuterDim < 0 ? 1 : shape[laneOuterDim]!;
  const wanted = Math.max(COLUMN_GROUP, Math.ceil(UNIT_ELEMENTS / perPoint / COLUMN_GROUP) * COLUMN_GROUP);
  const chunk = Math.min(Math.max(lanes, 1), wanted);
  const chunks = Math.ceil(lanes / chunk);
  const rowsPerUnit = chunks > 1 ? 1 : Math.max(1, Math.floor(UNIT_ELEMENTS / (perPoint * Math.max(lanes, 1))));
  return { rows, rowsPerUnit, chunk, chunks, count: Math.ceil(rows / rowsPerUnit) * chunks };
}
