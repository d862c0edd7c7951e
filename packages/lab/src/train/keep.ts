/** Which weights a run leaves: those after its last step, or those of its best evaluation, put back and evaluated again to prove it. */
import type { Evaluation, Proof } from "../store/result.ts";
import type { Scores } from "./evaluate.ts";
import type { Trained } from "./train.ts";

export interface KeptWeights {
  readonly evaluation: Evaluation;
  readonly scores: Scores;
  /** What the best was told by; absent where the last weights are kept. */
  readonly by?: string;
}

/** After every proof that is about the last step. */
export async function keepWeights({
  bestWeights,
  evaluate,
  final,
  scores,
}: Pick<Trained, "bestWeights" | "evaluate" | "final" | "scores">): Promise<{ kept: KeptWeights; proofs: Proof[] }> {
  if (bestWeights === undefined) return { kept: { evaluation: final, scores }, proofs: [] };
  const best = bestWeights.evaluation!;
  const by = bestWeights.judge.name;
  const isLast = best.step === final.step;
  if (!isLast) bestWeights.putBack();
  const again = isLast ? { now: final, scores } : await evaluate(best.step);
  const detail = { by, step: best.step, last: final.step, evaluated: best[by], again: again.now[by] };
  return {
    kept: { evaluation: again.now, scores: again.scores, by },
    proofs: [{ name: "kept-weights-are-the-best", holds: bestWeights.isSame(again.now), detail }],
  };
}
