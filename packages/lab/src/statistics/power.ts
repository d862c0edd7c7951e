/**
 * What n pairs can find: the power of the two-sided paired t test, and the smallest d_z that it finds with a given probability. With S² = V/ν the
 * noncentral t variable is (Z + δ)/S, so that its tails are integrals over S alone; library forms return NaN far out, this one does not.
 */
import { normalCdf } from "./normal.ts";
import { logGamma } from "./special.ts";
import { tCritical } from "./student-t.ts";

/** Points of Simpson's rule. The sharpest bend, Φ(12.7 s) at one degree of freedom, leaves 5e-9 of error. */
const POINTS = 2000;

/** P(|T| > critical) of the noncentral t with `df` degrees of freedom and noncentrality `delta`. */
function twoTails(critical: number, df: number, delta: number): number {
  // S = √(V/ν): density 2 (ν/2)^(ν/2) / Γ(ν/2) · s^(ν−1) e^(−ν s²/2); nothing of it is left beyond 1 ± 9/√ν
  const log = Math.LN2 + (df / 2) * Math.log(df / 2) - logGamma(df / 2);
  const density = (s: number): number =>
    s === 0 ? (df === 1 ? Math.exp(log) : 0) : Math.exp(log + (df - 1) * Math.log(s) - (df * s * s) / 2);
  const start = Math.max(0, 1 - 9 / Math.sqrt(df));
  const step = (1 + 9 / Math.sqrt(df) - start) / POINTS;
  let sum = 0;
  for (let i = 0; i <= POINTS; i++) {
    const s = start + i * step;
    const weight = i === 0 || i === POINTS ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * density(s) * (normalCdf(delta - critical * s) + normalCdf(-delta - critical * s));
  }
  return (sum * step) / 3;
}

/** @param dz true difference in standard deviations of the differences. Undefined below two pairs */
export function pairedPower(n: number, dz: number, alpha = 0.05): number | undefined {
  return n < 2 ? undefined : twoTails(tCritical(alpha, n - 1), n - 1, dz * Math.sqrt(n));
}

/** The d_z that n pairs find with this power; times the standard deviation of differences it is the smallest difference. */
export function smallestDz(n: number, power = 0.8, alpha = 0.05): number | undefined {
  if (n < 2) return undefined;
  const critical = tCritical(alpha, n - 1);
  const found = (dz: number): number => twoTails(critical, n - 1, dz * Math.sqrt(n));
  let [low, high] = [0, 1];
  while (found(high) < power) high *= 2;
  for (let i = 0; i < 60 && high - low > 1e-9 * high; i++) {
    const middle = (low + high) / 2;
    if (found(middle) < power) low = middle;
    else high = middle;
  }
  return high;
}
