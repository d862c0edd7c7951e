/** Which element values a row kernel keeps in scratch between passes, because computing them again would cost more. */
import { operands } from "../../../ir/facts.ts";
import type { LoopKernel, ValueId } from "../../../ir/kernel.ts";
import type { Arrangement } from "./arrange.ts";
import { instrWeight } from "./weight.ts";

/** A value is kept when computing it anew costs more nanoseconds an element than a store and a load that hit the cache. */
const WORTH_KEEPING = 0.75;

/** What each pass must compute: `roots` of its reductions or stores, plus values kept for later. */
export interface Pass {
  readonly roots: readonly ValueId[];
  readonly keeps: readonly ValueId[];
  /** Kept values of earlier passes that this one reads back. */
  readonly reads: readonly ValueId[];
  /** Values to compute inside the inner loops of this pass; kept ones of earlier passes are not among them. */
  readonly needed: readonly boolean[];
}

export interface Passes {
  readonly list: readonly Pass[];
  /** Kept values, in the order of their scratch slots. */
  readonly kept: readonly ValueId[];
}

/** `finalRoots` are values that element stores of the last pass use. Nothing is kept when `mayKeep` is false (rows too long for scratch). */
export function planPasses(
  kernel: LoopKernel,
  at: Arrangement,
  finalRoots: readonly ValueId[],
  mayKeep: boolean,
): Passes {
  const { body, args } = kernel;
  const { stage, stages } = at.facts;
  const innermost = at.baseDepth + at.innerDims.length;
  const element = (v: ValueId): boolean => at.valueDepth[v]! > at.baseDepth;
  const kept: ValueId[] = [];
  const passes: { roots: ValueId[]; keeps: ValueId[]; reads: ValueId[]; needed: boolean[] }[] = [];

  const costOf = (v: ValueId): number => {
    const seen = new Set<ValueId>();
    const visit = (u: ValueId): number => {
      if (seen.has(u) || !element(u) || body[u]!.op === "reduce" || kept.includes(u)) return 0;
      seen.add(u);
      return instrWeight(body[u]!, args) + operands(body[u]!).reduce((sum, o) => sum + visit(o), 0);
    };
    return visit(v);
  };

  for (let pass = 0; pass <= stages; pass++) {
    const roots =
      pass < stages
        ? body.flatMap((instr, v) => (at.live[v] && instr.op === "reduce" && stage[v] === pass + 1 ? [instr.a] : []))
        : [...finalRoots];
    const needed = body.map(() => false);
    const reads = new Set<ValueId>();
    const visit = (v: ValueId): void => {
      if (needed[v] || !element(v) || reads.has(v)) return;
      const earlier = passes.find((p) => p.needed[v]);
      const keep = mayKeep && earlier !== undefined && at.valueDepth[v] === innermost && costOf(v) > WORTH_KEEPING;
      if (keep && !kept.includes(v)) {
        kept.push(v);
        earlier.keeps.push(v);
      }
      if (kept.includes(v)) return void reads.add(v);
      needed[v] = true;
      for (const o of operands(body[v]!)) visit(o);
    };
    for (const v of roots) visit(v);
    passes.push({ roots, keeps: [], reads: [...reads], needed });
  }
  return { list: passes, kept };
}
