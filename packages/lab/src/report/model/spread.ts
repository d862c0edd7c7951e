/** Mean over seeds, with its interval where there are enough of them. */
import { pairedDifference } from "../../statistics/paired.ts";

export interface SeedSpread {
  readonly n: number;
  readonly mean: number;
  /** Sample standard deviation; undefined for one value. */
  readonly sd: number | undefined;
  /** Two-sided 95 % t interval of the mean; undefined below three values. */
  readonly interval95: readonly [number, number] | undefined;
}

export function spreadOf(values: readonly number[]): SeedSpread {
  // a mean is a difference from nothing
  const { n, mean, sd, interval } = pairedDifference(
    values,
    values.map(() => 0),
  );
  return { n, mean, sd, interval95: interval(0.95) };
}
