/** Paired differences over seeds: t test, intervals, and Holm's correction for asking several questions. */
import { mean, standardDeviation } from "./descriptive.ts";
import { tCritical, tTwoSided } from "./student-t.ts";

export interface PairedDifference {
  readonly n: number;
  /** Of x − y. */
  readonly mean: number;
  /** Sample standard deviation; undefined for one pair. */
  readonly sd: number | undefined;
  /** Two-sided; undefined below three pairs, and where all differences are the same up to rounding: such a test says nothing. */
  readonly p: number | undefined;
  /** Two-sided t interval of the mean at this level, such as 0.95; undefined below three pairs. */
  interval(level: number): readonly [number, number] | undefined;
}

/** A p-value from fewer pairs than this is not given. */
export const LEAST_PAIRS = 3;
/** Differences that vary by less than this, relative to the numbers they are differences of, vary by rounding. */
const ROUNDING = 1e-12;

export function pairedDifference(x: readonly number[], y: readonly number[]): PairedDifference {
  const n = x.length;
  const differences = x.map((value, i) => value - y[i]!);
  const middle = mean(differences);
  const sd = standardDeviation(differences);
  const magnitude = Math.max(0, ...x.map(Math.abs), ...y.map(Math.abs));
  const tested = n >= LEAST_PAIRS && sd !== undefined;
  return {
    n,
    mean: middle,
    sd,
    p: tested && sd > ROUNDING * magnitude ? tTwoSided(middle / (sd / Math.sqrt(n)), n - 1) : undefined,
    interval: (level) => {
      if (!tested) return undefined;
      const half = (tCritical(1 - level, n - 1) * sd) / Math.sqrt(n);
      return [middle - half, middle + half];
    },
  };
}

/** Holm's adjusted p-values (Holm 1979), in the order given: monotone, at most 1. */
export function holm(p: readonly number[]): number[] {
  const order = p.map((_, i) => i).sort((a, b) => p[a]! - p[b]!);
  const adjusted = [...p];
  let most = 0;
  order.forEach((index, place) => {
    most = Math.max(most, Math.min(1, (p.length - place) * p[index]!));
    adjusted[index] = most;
  });
  return adjusted;
}
