/** How many vectors a pass works on side by side, and how long sums are before they are blocked. */
import type { LoopKernel } from "../../../ir/kernel.ts";
import type { Arrangement } from "./arrange.ts";
import { vectorsPerCall, type Random } from "./draws.ts";
import { instrWeight } from "./weight.ts";

/** Least block of a blocked sum, in additions of one accumulator. */
const SUM_BLOCK = 32;
/** Passes heavier than this (ns per element) are unrolled less: their latency hides itself and their code is long. */
const HEAVY_PASS = 1.5;
/** Passes as light as this (a load and an addition) down columns wait for memory: the wider the strip, the longer the runs they read. */
const LIGHT_PASS = 0.4;
/** Heavy passes over rows of this many elements overlap best when unrolled by four; over a quarter of it, by two; short rows overlap with each other. */
const LONG_RUN = 256;

/** Vectors side by side. What decides the order of sums must not depend on what else a kernel computes. */
export function copiesOf(kernel: LoopKernel, at: Arrangement): number {
  const { body, args, inner } = kernel;
  const shape = [...kernel.outer, ...inner];
  const weight = body.reduce((sum, instr, v) => (at.live[v] ? sum + instrWeight(instr, args) : sum), 0);
  if (inner.length > 0) {
    const run = shape[at.innerDims.at(-1)!]!;
    if (!at.laneInner) return weight <= LIGHT_PASS ? 8 : weight <= HEAVY_PASS ? 4 : 2;
    return run >= LONG_RUN ? 4 : run >= LONG_RUN / 4 ? 2 : 1;
  }
  const draws = body.filter((instr, v): instr is Random => at.live[v]! && instr.op === "random");
  if (draws.length === 0) return weight > HEAVY_PASS ? 1 : 2;
  // two calls of Threefry a round overlap; one is enough beside a rest that is heavy itself
  const rest = draws.reduce((left, draw) => left - instrWeight(draw, args), weight);
  const perCall = Math.max(...draws.map((draw) => vectorsPerCall(body, draw, at.laneDim)));
  const run = shape[at.laneDim] ?? 0;
  return rest <= HEAVY_PASS && run >= 8 * perCall ? 2 * perCall : Math.max(2, perCall);
}

/** What follows at the end of a run: where random bits are drawn, a call that vectors can share is worth a form of its own. */
export function unrollsOf({ body, inner }: LoopKernel, copies: number): number[] {
  const shared = inner.length === 0 && body.some((instr) => instr.op === "random");
  return shared ? [8, 4, 2].filter((unroll) => unroll <= copies) : [copies];
}

/**
 * Additions of one accumulator after which it goes to the second level; undefined for sums too short to need one. About √n, so both
 * levels are alike.
 * @param terms that one row sums
 * @param atOnce how many of them an addition of all accumulators takes
 */
export function sumBlock(terms: number, atOnce: number): number | undefined {
  const steps = terms / atOnce;
  return steps <= 2 * SUM_BLOCK ? undefined : Math.max(SUM_BLOCK, Math.ceil(Math.sqrt(steps)));
}
