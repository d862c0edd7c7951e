/**
 * Matthews' correlation of labels and predictions (Matthews 1975), of more than two labels as Gorodkin (2004) has it: with c correct of s items,
 * p_k predictions and t_k labels of class k, (c·s − Σ p_k·t_k) / √((s² − Σ p_k²)(s² − Σ t_k²)). 0 where all predictions or all labels are one
 * class; NaN where there is no item.
 */
import type { LabelledItems, Metric } from "../records/metric.ts";

interface Count {
  readonly correct: number;
  readonly all: number;
  readonly predicted: number[];
  readonly actual: number[];
}

export const matthews: Metric<LabelledItems, Count> = {
  name: "matthews",
  label: "Matthews",
  items: "labels",
  better: "higher",
  unit: "number",
  update(before, { predicted, labels, classes }) {
    const zeros = (): number[] => Array.from<number>({ length: classes }).fill(0);
    const count = before ?? { correct: 0, all: 0, predicted: zeros(), actual: zeros() };
    let { correct } = count;
    for (let i = 0; i < labels.length; i++) {
      count.predicted[predicted[i]!]!++;
      count.actual[labels[i]!]!++;
      if (predicted[i] === labels[i]) correct++;
    }
    return { ...count, correct, all: count.all + labels.length };
  },
  value({ correct, all, predicted, actual }) {
    if (all === 0) return Number.NaN;
    const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, k) => sum + x * b[k]!, 0);
    const square = (all * all - dot(predicted, predicted)) * (all * all - dot(actual, actual));
    return square === 0 ? 0 : (correct * all - dot(predicted, actual)) / Math.sqrt(square);
  },
};
