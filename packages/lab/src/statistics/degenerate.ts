/** Predictions that tell rows apart no better than a constant would: what a model that learnt nothing gives, however fine its loss looks. */

const NOTHING = "nothing was learnt that tells rows apart";
const ADVICE = "try another learning rate, or more steps";

/** One line for people, or nothing. Where all rows have one label a constant is right. @param names of the labels, for the line */
export function degenerate(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  names: readonly string[] = [],
): string | undefined {
  const [truth, guesses] = [counts(labels), counts(predicted)];
  if (truth.size < 2) return undefined;
  const name = (label: number): string => names[label] ?? String(label);
  const [majority, most] = [...truth].reduce((a, b) => (b[1] > a[1] ? b : a));
  const share = (n: number): string => `${((100 * n) / labels.length).toFixed(2)} %`;
  if (guesses.size === 1)
    return `every one of ${labels.length} predictions is ${name([...guesses.keys()][0]!)}: ${NOTHING}; ${ADVICE}`;
  const correct = Array.from(labels).filter((label, i) => label === predicted[i]).length;
  if (correct > most) return undefined;
  return `${share(correct)} of ${labels.length} predictions are right, no better than saying ${name(majority)} every time (${share(most)}); ${ADVICE}`;
}

/** Decisions that are all the same where what is right is not. @param saying what the one decision comes to: "every one of 9 words is tagged O" */
export function allAlike<T>(
  decisions: readonly T[],
  right: readonly T[],
  saying: (decision: T, count: number) => string,
): string | undefined {
  if (new Set(right).size < 2 || new Set(decisions).size !== 1) return undefined;
  return `${saying(decisions[0]!, decisions.length)}: ${NOTHING}; ${ADVICE}`;
}

/** Something was said of many and was right nowhere. */
export function noneRight(saying: string): string {
  return `${saying}; ${ADVICE}`;
}

/** Numbers that are all the same to a thousandth of what is right's own spread, or further from it than its mean is. */
export function noBetterThanMean(predicted: ArrayLike<number>, actual: ArrayLike<number>): string | undefined {
  const count = actual.length;
  const [right, said] = [spreadOf(actual), spreadOf(predicted)];
  if (right.deviation === 0) return undefined;
  if (said.deviation <= right.deviation / 1000)
    return `every one of ${count} predictions is about ${short(said.mean)}: ${NOTHING}; ${ADVICE}`;
  const error = Math.sqrt(Array.from(actual).reduce((sum, value, i) => sum + (value - predicted[i]!) ** 2, 0) / count);
  if (error < right.deviation) return undefined;
  return `the error of ${count} predictions (rmse ${short(error)}) is no smaller than that of saying ${short(right.mean)}, their mean, every time (${short(right.deviation)}); ${ADVICE}`;
}

function spreadOf(values: ArrayLike<number>): { readonly mean: number; readonly deviation: number } {
  const all = Array.from(values);
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  return { mean, deviation: Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length) };
}

const short = (value: number): string => String(Number(value.toPrecision(4)));

function counts(values: ArrayLike<number>): Map<number, number> {
  const found = new Map<number, number>();
  for (const value of Array.from(values)) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}
