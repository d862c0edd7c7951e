/** The normal distribution, and χ² by the same function: P(|Z| > z) = Q(1/2, z²/2). */
import { upperGamma } from "./special.ts";

/** Φ(z), exact to rounding in both tails' relative sense: the smaller tail is computed, not 1 minus the larger. */
export function normalCdf(z: number): number {
  if (Number.isNaN(z)) return Number.NaN;
  const tail = 0.5 * upperGamma(0.5, (z * z) / 2);
  return z < 0 ? tail : 1 - tail;
}

/** The z with Φ(z) = p, by halving: nobody asks often. NaN outside of [0, 1]. */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return Number.NaN;
  if (p === 0 || p === 1) return p === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (p > 0.5) return -normalQuantile(1 - p);
  let [low, high] = [-40, 0];
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return high;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
}

/** P(X > x) of χ² with `df` degrees of freedom. */
export function chiSquareTail(x: number, df: number): number {
  return upperGamma(df / 2, x / 2);
}
