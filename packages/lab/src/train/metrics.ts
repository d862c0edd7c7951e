/** Classification metrics on the host, in f64. */

export interface Classification {
  readonly accuracy: number;
  /** Two labels: F1 of label 1, as GLUE reports. More: the unweighted mean over labels. */
  readonly f1: number;
}

/** Index of the largest value in `logits[row]`; the first one of equals, as torch.argmax on CPU. */
export function argmaxRows(logits: ArrayLike<number>, classes: number): Int32Array {
  return Int32Array.from({ length: logits.length / classes }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[row * classes + c]! > logits[row * classes + best]!) best = c;
    return best;
  });
}

/** Accuracy and F1 of predicted labels. */
export function classificationMetrics(predicted: ArrayLike<number>, labels: ArrayLike<number>, classes: number): Classification {
  let correct = 0;
  const truePositive = Array.from<number>({ length: classes }).fill(0);
  const predictedCount = Array.from<number>({ length: classes }).fill(0);
  const labelCount = Array.from<number>({ length: classes }).fill(0);
  for (let i = 0; i < labels.length; i++) {
    const [guess, truth] = [predicted[i]!, labels[i]!];
    predictedCount[guess]!++;
    labelCount[truth]!++;
    if (guess !== truth) continue;
    correct++;
    truePositive[truth]!++;
  }
  // F1 = 2·tp / (predicted + actual); 0 where a class is neither predicted nor present, as scikit-learn's zero_division=0.
  const f1 = truePositive.map((tp, c) => (predictedCount[c]! + labelCount[c]! === 0 ? 0 : (2 * tp) / (predictedCount[c]! + labelCount[c]!)));
  const reported = classes === 2 ? f1[1]! : f1.reduce((sum, value) => sum + value, 0) / classes;
  return { accuracy: correct / labels.length, f1: reported };
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
