/** Predictions that tell rows apart no better than a constant would: what a model that learnt nothing gives, however fine its loss looks. */

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
    return `every one of ${labels.length} predictions is ${name([...guesses.keys()][0]!)}: nothing was learnt that tells rows apart; try another learning rate, or more steps`;
  const correct = Array.from(labels).filter((label, i) => label === predicted[i]).length;
  if (correct > most) return undefined;
  return `${share(correct)} of ${labels.length} predictions are right, no better than saying ${name(majority)} every time (${share(most)}); try another learning rate, or more steps`;
}

function counts(values: ArrayLike<number>): Map<number, number> {
  const found = new Map<number, number>();
  for (const value of Array.from(values)) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}
