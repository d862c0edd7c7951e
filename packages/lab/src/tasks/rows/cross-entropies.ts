/** Losses told from logits in f64, to hold what the device says against. */
import { meanCrossEntropy } from "../classification.ts";

/** Mean cross-entropy over all rows of all items: logits `[rows, classes]` and as many labels of each. */
export function meanOfRows(
  logits: readonly ArrayLike<number>[],
  labels: readonly (readonly number[])[],
  classes: number,
): number {
  let [total, rows] = [0, 0];
  for (const [i, own] of labels.entries()) {
    if (own.length === 0) continue;
    total += own.length * meanCrossEntropy(logits[i]!, own, classes);
    rows += own.length;
  }
  return total / rows;
}
