/** Bootstrap intervals of a statistic: percentile, and BCa, which corrects for bias and skewness (Efron 1987). */
import { RandomStream } from "@lowrank/tensor";
import { mean, quantileOfSorted } from "./descriptive.ts";
import { normalCdf, normalQuantile } from "./normal.ts";

export interface Bootstrap {
  readonly percentile: readonly [number, number];
  /** Undefined where leaving out single values changes nothing: then its acceleration has no value. */
  readonly bca: readonly [number, number] | undefined;
}

type Statistic = (x: readonly number[]) => number;

/** Resamples where none are given, and the seed that draws them. */
const [RESAMPLES, SEED] = [10_000, 1];
const drawn = new Map<number, readonly (readonly number[])[]>();

/** Positions into a sample of n, the same every time: drawn once for each n, since a study asks often. */
function resampleIndices(n: number): readonly (readonly number[])[] {
  let indices = drawn.get(n);
  if (indices === undefined) {
    const stream = new RandomStream(SEED, "bootstrap");
    indices = Array.from({ length: RESAMPLES }, () => Array.from({ length: n }, () => stream.integer(n)));
    drawn.set(n, indices);
  }
  return indices;
}

/**
 * Limits of the two-sided interval at this level. Undefined for fewer than two values.
 * @param indices positions of each resample; by default 10,000 of a fixed seed
 */
export function bootstrap(
  x: readonly number[],
  level: number,
  indices: readonly (readonly number[])[] = resampleIndices(x.length),
  statistic: Statistic = mean,
): Bootstrap | undefined {
  if (x.length < 2) return undefined;
  const values = Float64Array.from(indices.map((at) => statistic(at.map((i) => x[i]!)))).sort();
  const outside = (1 - level) / 2;
  const between = (low: number, high: number): readonly [number, number] => [
    quantileOfSorted(values, low),
    quantileOfSorted(values, high),
  ];
  const acceleration = skewness(x, statistic);
  const estimate = statistic(x);
  // ties count half
  const below = values.reduce((sum, v) => sum + (v < estimate ? 1 : v === estimate ? 0.5 : 0), 0) / values.length;
  const z0 = normalQuantile(below);
  const corrected = (p: number): number => {
    const z = z0 + normalQuantile(p);
    return normalCdf(z0 + z / (1 - acceleration! * z));
  };
  return {
    percentile: between(outside, 1 - outside),
    bca:
      acceleration === undefined || !Number.isFinite(z0)
        ? undefined
        : between(corrected(outside), corrected(1 - outside)),
  };
}

/** Σu³ / (6 (Σu²)^1.5), u the differences of the jackknife from its mean. */
function skewness(x: readonly number[], statistic: Statistic): number | undefined {
  const left = x.map((_, out) => statistic(x.filter((__, i) => i !== out)));
  const middle = mean(left);
  const u = left.map((value) => middle - value);
  const squares = u.reduce((sum, v) => sum + v * v, 0);
  const size = Math.max(...left.map(Math.abs), Math.abs(middle));
  if (squares <= (1e-14 * size) ** 2 * u.length) return undefined;
  return u.reduce((sum, v) => sum + v ** 3, 0) / (6 * squares ** 1.5);
}
