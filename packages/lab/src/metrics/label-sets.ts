/**
 * How predicted sets of labels agree with actual ones, as scikit-learn counts (`zero_division=0`): F1 over all decisions together (micro) or as the
 * mean over labels (macro), and the share of items whose sets are equal. NaN where there is no item.
 */
import type { LabelSetItems, Metric } from "../records/metric.ts";

interface Count {
  /** By label. */
  readonly truePositive: number[];
  /** Predicted and actual together, by label. */
  readonly occurrences: number[];
  readonly equal: number;
  readonly all: number;
}

function ofSets(name: string, label: string, value: (count: Count) => number): Metric<LabelSetItems, Count> {
  return {
    name,
    label,
    items: "label-sets",
    better: "higher",
    unit: "share",
    update(before, { predicted, actual, classes }) {
      const zeros = (): number[] => Array.from<number>({ length: classes }).fill(0);
      const { truePositive, occurrences, ...rest } = before ?? {
        truePositive: zeros(),
        occurrences: zeros(),
        equal: 0,
        all: 0,
      };
      const items = actual.length / classes;
      let { equal } = rest;
      for (let item = 0; item < items; item++) {
        let same = true;
        for (let c = 0; c < classes; c++) {
          const [guess, truth] = [predicted[item * classes + c]!, actual[item * classes + c]!];
          truePositive[c]! += guess * truth;
          occurrences[c]! += guess + truth;
          same &&= guess === truth;
        }
        if (same) equal++;
      }
      return { truePositive, occurrences, equal, all: rest.all + items };
    },
    value: (count) => (count.all === 0 ? Number.NaN : value(count)),
  };
}

const ratio = (truePositive: number, occurrences: number): number =>
  occurrences === 0 ? 0 : (2 * truePositive) / occurrences;
const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

export const microF1: Metric<LabelSetItems, Count> = ofSets("f1-micro", "micro F1", ({ truePositive, occurrences }) =>
  ratio(sum(truePositive), sum(occurrences)),
);
export const macroF1: Metric<LabelSetItems, Count> = ofSets(
  "f1-macro",
  "macro F1",
  ({ truePositive, occurrences }) =>
    sum(truePositive.map((count, c) => ratio(count, occurrences[c]!))) / truePositive.length,
);
export const subsetAccuracy: Metric<LabelSetItems, Count> = ofSets(
  "subset-accuracy",
  "all labels right",
  ({ equal, all }) => equal / all,
);
