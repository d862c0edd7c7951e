/** Student's t distribution, by the incomplete beta function: P(|T| > t) = I_x(ν/2, 1/2) with x = ν/(ν + t²) (DLMF 8.17, Abramowitz & Stegun 26.7.1). */

/** log Γ(x) for x > 0: Stirling's series after the recurrence has taken x beyond 15, where six terms leave 1e-17 (DLMF 5.11.1). */
function logGamma(x: number): number {
  let [shift, z] = [0, x];
  for (; z < 15; z++) shift += Math.log(z);
  const w = 1 / (z * z);
  const series = (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - (w * 691) / 360_360))))) / z;
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** Terms after which the continued fraction has long converged for any ν that seeds make. */
const MOST_TERMS = 10_000;

/**
 * I_x(a, b), regularized, with y = 1 − x given apart so that x near 1 keeps its digits: the continued fraction DLMF 8.17.22 by Lentz's
 * method, on the side where it converges fast.
 */
function incompleteBeta(x: number, y: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(y, x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log(y) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
  const tiny = 1e-300;
  let [c, d] = [1, 1 / (1 - ((a + b) * x) / (a + 1) || tiny)];
  let f = d;
  for (let m = 1; m < MOST_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let factor = 1;
    for (const term of [even, odd]) {
      d = 1 / (1 + term * d || tiny);
      c = 1 + term / c || tiny;
      factor = c * d;
      f *= factor;
    }
    if (Math.abs(factor - 1) < 1e-16) break;
  }
  return front * f;
}

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
