/** What rows are held out by alike, where they have more than one label each, or a number. The order of rows does not count. */

/** Strata of fewer rows are joined with others: of fewer than that a tenth is no row. */
const FEW = 10;

/**
 * A stratum each: its set of labels where that has enough rows, else the rarest of its labels, so that a label with few rows keeps some to train on. Finer than labels one by one, since labels that come
 * together are a row together.
 */
export function labelSetStrata(rows: readonly (readonly string[])[]): string[] {
  const setOf = (labels: readonly string[]): string => JSON.stringify([...labels].sort());
  const [ofSet, ofLabel] = [countsOf(rows.map(setOf)), countsOf(rows.flat())];
  return rows.map((labels) => {
    const set = setOf(labels);
    if (labels.length === 0 || ofSet.get(set)! >= FEW) return set;
    return labels.reduce((rarest, label) => {
      const [a, b] = [ofLabel.get(label)!, ofLabel.get(rarest)!];
      return a < b || (a === b && label < rarest) ? label : rarest;
    });
  });
}

/** A stratum each: a tenth of the numbers, smallest first, fewer parts where a part would have few rows. Equal numbers have one. */
export function quantileStrata(values: readonly number[]): string[] {
  const parts = Math.max(1, Math.min(10, Math.floor(values.length / FEW)));
  const sorted = [...values].sort((a, b) => a - b);
  const first = new Map<number, number>();
  sorted.forEach((value, rank) => {
    if (!first.has(value)) first.set(value, rank);
  });
  return values.map((value) => String(Math.floor((first.get(value)! * parts) / values.length)));
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
