/** The least and the most of values without those that stand so far away that an axis for them would leave no room for the rest. */

/** Share of the whole range that is too large a gap. */
const GAP = 0.5;
/** So few are all shown. */
const FEWEST = 3;

export function nearRange(values: readonly number[]): readonly [number, number] {
  let near = [...values].sort((a, b) => a - b);
  while (near.length > FEWEST) {
    const range = near.at(-1)! - near[0]!;
    if (near[1]! - near[0]! > GAP * range) near = near.slice(1);
    else if (near.at(-1)! - near.at(-2)! > GAP * range) near = near.slice(0, -1);
    else break;
  }
  return [near[0] ?? 0, near.at(-1) ?? 0];
}
