/**
 * The exact sign-flip permutation test of paired differences: if x and y are exchangeable, each difference might as well have the other sign.
 * Its smallest two-sided p is 2/2ⁿ, so with fewer than six pairs it can never be below 0.05.
 */

/** Sums of equal size are equal up to this, relative to Σ|d|: decimal differences are not exact in binary. */
const TIE = 1e-12;
/** 2²⁰ sums take a hundredth of a second. */
export const MOST_FLIPPED_PAIRS = 20;

export interface SignFlip {
  readonly twoSided: number;
  /** For a mean above 0, and below. */
  readonly greater: number;
  readonly less: number;
  /** That n differences, none of them zero, can give. */
  readonly smallestTwoSided: number;
}

/** Over all 2ⁿ signs, the observed ones included; zeros stay. Undefined for no pair, or more than `MOST_FLIPPED_PAIRS`. */
export function signFlip(differences: readonly number[]): SignFlip | undefined {
  const n = differences.length;
  if (n === 0 || n > MOST_FLIPPED_PAIRS) return undefined;
  const observed = differences.reduce((sum, d) => sum + d, 0);
  const tie = TIE * differences.reduce((sum, d) => sum + Math.abs(d), 0);
  let [twoSided, greater, less] = [0, 0, 0];
  const total = 2 ** n;
  for (let signs = 0; signs < total; signs++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += (signs >> i) & 1 ? -differences[i]! : differences[i]!;
    if (Math.abs(sum) >= Math.abs(observed) - tie) twoSided++;
    if (sum >= observed - tie) greater++;
    if (sum <= observed + tie) less++;
  }
  return {
    twoSided: twoSided / total,
    greater: greater / total,
    less: less / total,
    smallestTwoSided: differences.every((d) => d === 0) ? 1 : Math.min(1, 2 / total),
  };
}
