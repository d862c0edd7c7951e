/** "Did you mean …?" for names that a user typed: Levenshtein distance with adjacent swaps, and a threshold that grows with the word. */

/** Optimal string alignment distance between `a` and `b` (insert, delete, replace, swap neighbours). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replaced, previous[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The known name closest to `name`, if any is near enough to be a likely slip. Case, `-` and `_` do not count. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, "");
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  // A third of the letters may be wrong, at least two of five and one of fewer: `lerning` → `learning`, but not `rank` → `rate` or `x` → `lr`.
  const allowed = Math.max(Math.min(name.length < 5 ? 1 : 2, name.length - 1), Math.floor(name.length / 3));
  return bestDistance <= allowed ? best : undefined;
}

/** `; did you mean "lr"?` or the list of what there is. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  return near === undefined ? `; known: ${known.join(", ")}` : `; did you mean "${near}"?`;
}
