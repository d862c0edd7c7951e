/** Share of items whose prediction is their label; NaN where there is no item. */
import type { LabelledItems, Metric } from "../records/metric.ts";

interface Count {
  readonly correct: number;
  readonly all: number;
}

export const accuracy: Metric<LabelledItems, Count> = {
  name: "accuracy",
  label: "accuracy",
  items: "labels",
  better: "higher",
  unit: "share",
  update(before = { correct: 0, all: 0 }, { predicted, labels }) {
    let { correct } = before;
    for (let i = 0; i < labels.length; i++) if (predicted[i] === labels[i]) correct++;
    return { correct, all: before.all + labels.length };
  },
  value: ({ correct, all }) => correct / all,
};
