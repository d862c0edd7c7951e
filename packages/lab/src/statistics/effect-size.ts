/** How large a paired difference is, in its own standard deviations. */
import { logGamma } from "./special.ts";

export interface EffectSize {
  /** Mean over standard deviation of the differences (Cohen's d_z). */
  readonly dz: number;
  /** d_z without its bias in small samples (Hedges); undefined at two pairs, where the factor has no value. */
  readonly gz: number | undefined;
}

/** @param df degrees of freedom of the standard deviation. Γ(m/2) / (√(m/2) Γ((m−1)/2)) (Hedges 1981); undefined at one */
export function hedgesFactor(df: number): number | undefined {
  return df < 2 ? undefined : Math.exp(logGamma(df / 2) - logGamma((df - 1) / 2)) / Math.sqrt(df / 2);
}

export function effectSize(mean: number, sd: number, n: number): EffectSize {
  const dz = mean / sd;
  const factor = hedgesFactor(n - 1);
  return { dz, gz: factor === undefined ? undefined : dz * factor };
}
