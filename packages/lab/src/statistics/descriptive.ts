/** Mean, standard deviation and quantiles of a sample. */

export function mean(x: readonly number[]): number {
  return x.reduce((sum, value) => sum + value, 0) / x.length;
}

/** Sample standard deviation (divisor n − 1), in two passes; undefined below two values. */
export function standardDeviation(x: readonly number[]): number | undefined {
  if (x.length < 2) return undefined;
  const middle = mean(x);
  return Math.sqrt(x.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (x.length - 1));
}

/** Quantile of sorted values, between its neighbours in proportion (numpy's default, Hyndman & Fan's type 7). */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (at - below) * (high - low);
}

export function quantile(x: ArrayLike<number>, q: number): number {
  return quantileOfSorted(Float64Array.from(x).sort(), q);
}
