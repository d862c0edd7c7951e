/** Classification metrics on the host, in f64: counts of all items first, one division at the end. */

export interface Classification {
  readonly accuracy: number;
  /** Two labels: F1 of label 1, as GLUE reports. More: the unweighted mean over `f1Classes`. */
  readonly f1: number;
  /** The classes that `f1` speaks of. Of more than two, those that occur among labels or predictions: scikit-learn's rule for `average="macro"`. */
  readonly f1Classes: readonly number[];
}

/** Index of the largest value in `logits[row]`; the first one of equals, and a NaN before any number, as torch.argmax on CPU. */
export function argmaxRows(logits: ArrayLike<number>, classes: number): Int32Array {
  return Int32Array.from({ length: logits.length / classes }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const [value, largest] = [logits[row * classes + c]!, logits[row * classes + best]!];
      if (value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) best = c;
    }
    return best;
  });
}

/**
 * Accuracy and F1 of predicted labels, NaN where there is no item.
 * F1 of a class is 2·tp / (predicted + actual), 0 where it occurs in neither (scikit-learn's `zero_division=0`).
 */
export function classificationMetrics(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): Classification {
  let correct = 0;
  const zeros = (): number[] => Array.from<number>({ length: classes }).fill(0);
  const [truePositive, occurrences] = [zeros(), zeros()];
  for (let i = 0; i < labels.length; i++) {
    const [guess, truth] = [predicted[i]!, labels[i]!];
    occurrences[guess]!++;
    occurrences[truth]!++;
    if (guess !== truth) continue;
    correct++;
    truePositive[truth]!++;
  }
  const f1Classes = classes === 2 ? [1] : occurrences.flatMap((n, c) => (n > 0 ? [c] : []));
  const sum = f1Classes.reduce(
    (total, c) => total + (occurrences[c] === 0 ? 0 : (2 * truePositive[c]!) / occurrences[c]!),
    0,
  );
  return {
    accuracy: correct / labels.length,
    f1: labels.length === 0 ? Number.NaN : sum / f1Classes.length,
    f1Classes,
  };
}

/** Mean cross-entropy of logits, recomputed in f64: the task's loss and nothing else. */
export function meanCrossEntropy(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): number {
  let total = 0;
  for (let row = 0; row < labels.length; row++) {
    let max = -Infinity;
    for (let c = 0; c < classes; c++) max = Math.max(max, logits[row * classes + c]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[row * classes + c]! - max);
    total += max + Math.log(sum) - logits[row * classes + labels[row]!]!;
  }
  return total / labels.length;
}
