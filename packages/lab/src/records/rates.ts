/**
 * What a rate is told from where nothing is said: anchors, each with its source, by rising numbers of steps. Short trainings need larger rates. Between two
 * anchors the rate's logarithm goes straight over the logarithm of the steps; beyond the outer ones it stays. All are for AdamW.
 */

export interface RateAnchor {
  readonly steps: number;
  readonly lr: number;
  /** Who found that it trains well. */
  readonly source: string;
}

/** What methods' rates are multiplied by in a task: those of the tables were found where one thing is asked of a row. */
export interface RateShare {
  readonly share: number;
  /** Who found that it trains well. */
  readonly source: string;
}

/** Of a method that brings none. */
export const OTHER_RATES: readonly RateAnchor[] = [
  { steps: 1000, lr: 5e-4, source: "no measurement: between full fine-tuning and adapters" },
];

/** The rate for a training of so many steps, of two digits. @param anchors by rising steps @param of the task; absent: 1 */
export function rateFor(anchors: readonly RateAnchor[], steps: number, of?: RateShare): number {
  const after = anchors.findIndex((anchor) => anchor.steps >= steps);
  const high = anchors[after] ?? anchors.at(-1)!;
  const low = after <= 0 ? high : anchors[after - 1]!;
  const span = Math.log(high.steps / low.steps);
  const share = span === 0 ? 0 : Math.log(steps / low.steps) / span;
  return Number(((of?.share ?? 1) * low.lr * (high.lr / low.lr) ** share).toPrecision(2));
}
