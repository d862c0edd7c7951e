/** Student's t distribution, by the incomplete beta function: P(|T| > t) = I_x(ν/2, 1/2) with x = ν/(ν + t²) (DLMF 8.17, Abramowitz & Stegun 26.7.1). */
import { incompleteBeta } from "./special.ts";

/** P(|T| > |t|) with `df` degrees of freedom. */
export function tTwoSided(t: number, df: number): number {
  return Number.isFinite(t)
    ? incompleteBeta(df / (df + t * t), (t * t) / (df + t * t), df / 2, 0.5)
    : Number.isNaN(t)
      ? Number.NaN
      : 0;
}

/** The t ≥ 0 that |T| exceeds with probability `p`: 1 − `p` is the level of a two-sided interval. */
export function tCritical(p: number, df: number): number {
  let [low, high] = [0, 1];
  while (tTwoSided(high, df) > p && high < 1e300) high *= 2;
  // the tail falls monotonically; halving is enough, since nobody asks often
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    if (tTwoSided(middle, df) > p) low = middle;
    else high = middle;
  }
  return high;
}
