/**
 * F1 as GLUE and scikit-learn report it. Of two labels that of label 1; of more the unweighted mean over the classes that occur among labels or
 * predictions (`average="macro"`). F1 of a class is 2·tp / (predicted + actual), 0 where it occurs in neither (`zero_division=0`); NaN where
 * there is no item.
 */
import type { LabelledItems, Metric } from "../records/metric.ts";

interface Count {
  readonly truePositive: number[];
  /** As a label and as a prediction together. */
  readonly occurrences: number[];
  readonly all: number;
}

/** The classes that the mean is over. */
function classesOf({ occurrences }: Count): number[] {
  return occurrences.length === 2 ? [1] : occurrences.flatMap((n, c) => (n > 0 ? [c] : []));
}

export const f1: Metric<LabelledItems, Count> = {
  name: "f1",
  label: "F1",
  items: "labels",
  better: "higher",
  unit: "share",
  update(before, { predicted, labels, classes }) {
    const zeros = (): number[] => Array.from<number>({ length: classes }).fill(0);
    const { truePositive, occurrences, all } = before ?? { truePositive: zeros(), occurrences: zeros(), all: 0 };
    for (let i = 0; i < labels.length; i++) {
      const [guess, truth] = [predicted[i]!, labels[i]!];
      occurrences[guess]!++;
      occurrences[truth]!++;
      if (guess === truth) truePositive[truth]!++;
    }
    return { truePositive, occurrences, all: all + labels.length };
  },
  value(count) {
    const { truePositive, occurrences, all } = count;
    const classes = classesOf(count);
    const sum = classes.reduce(
      (total, c) => total + (occurrences[c] === 0 ? 0 : (2 * truePositive[c]!) / occurrences[c]!),
      0,
    );
    return all === 0 ? Number.NaN : sum / classes.length;
  },
  detail: (count) => ({ f1Classes: classesOf(count) }),
};
