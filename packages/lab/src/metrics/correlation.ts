/** Correlations of predicted numbers with actual ones. NaN where either is constant or holds a NaN, and below two items, as scipy has it. */
import type { Metric, NumberItems } from "../records/metric.ts";

/** All of them: a rank is known once every number is. */
interface Count {
  readonly predicted: number[];
  readonly actual: number[];
}

function correlation(
  name: string,
  label: string,
  of: (x: readonly number[], y: readonly number[]) => number,
): Metric<NumberItems, Count> {
  return {
    name,
    label,
    items: "numbers",
    better: "higher",
    unit: "number",
    update(before = { predicted: [], actual: [] }, { predicted, actual }) {
      for (let i = 0; i < actual.length; i++) {
        before.predicted.push(predicted[i]!);
        before.actual.push(actual[i]!);
      }
      return before;
    },
    value: ({ predicted, actual }) => of(predicted, actual),
  };
}

/** Pearson's: of the numbers. */
export const pearson: Metric<NumberItems, Count> = correlation("pearson", "Pearson", pearsonOf);
/** Spearman's: of their ranks, equal numbers sharing the mean of theirs. */
export const spearman: Metric<NumberItems, Count> = correlation("spearman", "Spearman", (x, y) =>
  [...x, ...y].some((value) => Number.isNaN(value)) ? Number.NaN : pearsonOf(ranks(x), ranks(y)),
);

/** Scaled before it is squared, so that huge and tiny numbers neither overflow nor vanish. */
function pearsonOf(x: readonly number[], y: readonly number[]): number {
  if (x.length < 2) return Number.NaN;
  const [a, b] = [deviations(x), deviations(y)];
  if (a === undefined || b === undefined) return Number.NaN;
  const r = a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  return Math.max(-1, Math.min(1, r));
}

/** x − mean, at length 1; undefined where that is 0 or no number. */
function deviations(x: readonly number[]): readonly number[] | undefined {
  if (x.every((value) => value === x[0])) return undefined;
  const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);
  const mean = meanOf(x);
  const roughly = x.map((value) => value - mean);
  // twice: the rounding of the first mean would dominate numbers that are nearly constant
  const left = meanOf(roughly);
  const centred = roughly.map((value) => value - left);
  const most = centred.reduce((a, value) => Math.max(a, Math.abs(value)), 0);
  const scaled = centred.map((value) => value / most);
  const length = Math.sqrt(scaled.reduce((sum, value) => sum + value * value, 0));
  return Number.isFinite(length) && length > 0 ? scaled.map((value) => value / length) : undefined;
}

function ranks(x: readonly number[]): number[] {
  const order = x.map((_, i) => i).sort((a, b) => (x[a]! < x[b]! ? -1 : x[a]! > x[b]! ? 1 : 0));
  const found = new Array<number>(x.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && x[order[end]!] === x[order[start]!]) end++;
    for (let at = start; at < end; at++) found[order[at]!] = (start + end - 1) / 2 + 1;
    start = end;
  }
  return found;
}
