/** McNemar's test of two classifiers on the same items: only items that one has right and the other wrong say anything. */
import { logGamma } from "./special.ts";

export interface McNemar {
  /** Items that only the first has right, and only the second. */
  readonly b: number;
  readonly c: number;
  /** Two-sided binomial, 2 P(X ≤ min(b, c)), at most 1. */
  readonly exact: number;
  /** The same without half of the observed outcome: less conservative. */
  readonly midP: number;
}

export function mcnemar(b: number, c: number): McNemar {
  const n = b + c;
  const at = (k: number): number => Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1) - n * Math.LN2);
  let tail = 0;
  for (let k = 0; k <= Math.min(b, c); k++) tail += at(k);
  const exact = Math.min(1, 2 * tail);
  // without an item that speaks nothing speaks against equality
  const midP = n === 0 ? 1 : b === c ? 1 - at(b) / 2 : exact - at(Math.min(b, c));
  return { b, c, exact, midP };
}
