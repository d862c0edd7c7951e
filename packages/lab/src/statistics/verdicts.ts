/**
 * What paired results over seeds say about claims that were listed before the results were there. The paired t test and its interval decide;
 * exact permutation, Wilcoxon's test and the bootstrap stand beside them and decide nothing. The family of Holm's correction is all claims of a
 * difference.
 *
 *   a difference    supported where the adjusted p is below 0.05 in its direction, contradicted where it is so in the other
 *   an equality     supported where the 90 % interval lies within ± margin (two one-sided tests at 0.05), contradicted where it lies outside
 *   else            not decidable at this n, and the smallest difference that this n could have found
 */
import { bootstrap } from "./bootstrap.ts";
import { effectSize, type EffectSize } from "./effect-size.ts";
import { holm, LEAST_PAIRS, pairedDifference } from "./paired.ts";
import { smallestDz } from "./power.ts";
import { signFlip } from "./sign-flip.ts";
import { wilcoxon } from "./wilcoxon.ts";

/** Of the mean of x − y. */
export type Claim =
  | { readonly kind: "greater" | "less" }
  | { readonly kind: "equal"; /** In the units of x and y. */ readonly margin: number };

/** A claim with the results it is about, seed by seed. */
export interface ClaimedPairs {
  readonly claim: Claim;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface Verdict {
  readonly verdict: "supported" | "contradicted" | "not decidable";
  readonly n: number;
  /** Of x − y. */
  readonly mean: number;
  readonly sd: number | undefined;
  /** Of the paired t test; undefined below three pairs, and where differences do not vary. */
  readonly p: number | undefined;
  /** The same after Holm's correction over all claims of a difference. */
  readonly adjusted: number | undefined;
  readonly interval95: readonly [number, number] | undefined;
  readonly interval90: readonly [number, number] | undefined;
  readonly effect: EffectSize | undefined;
  /** What n pairs that vary as these do find with probability 0.8 at 0.05, in the units of x and y. */
  readonly smallestDifference: number | undefined;
  /** Beside the test that decides: the sign-flip test, Wilcoxon's, the bootstrap's 95 % interval (BCa, else percentile). */
  readonly beside: {
    readonly signFlip: number | undefined;
    readonly smallestSignFlip: number | undefined;
    readonly wilcoxon: number | undefined;
    readonly bootstrap95: readonly [number, number] | undefined;
  };
}

/** The level that claims of a difference are held to. */
const ALPHA = 0.05;

/** One verdict a claim, in order. */
export function verdicts(claims: readonly ClaimedPairs[]): Verdict[] {
  const tested = claims.map(({ claim, x, y }) => ({ claim, ...described(x, y) }));
  const family = tested.flatMap(({ claim }, i) => (claim.kind === "equal" ? [] : [i]));
  // what has no p yet was asked all the same: as the largest one it makes no other p smaller
  const corrected = holm(family.map((i) => tested[i]!.p ?? 1));
  const adjusted = new Map(family.flatMap((i, place) => (tested[i]!.p === undefined ? [] : [[i, corrected[place]!]])));
  return tested.map(({ claim, ...facts }, i) => {
    const own = { ...facts, adjusted: adjusted.get(i) };
    return { verdict: decide(claim, own), ...own };
  });
}

type Facts = Omit<Verdict, "verdict" | "adjusted">;

function described(x: readonly number[], y: readonly number[]): Facts {
  const { n, mean, sd, p, interval } = pairedDifference(x, y);
  const differences = x.map((value, i) => value - y[i]!);
  const enough = n >= LEAST_PAIRS;
  const flipped = enough ? signFlip(differences) : undefined;
  const drawn = enough ? bootstrap(differences, 0.95) : undefined;
  const smallest = smallestDz(n);
  return {
    n,
    mean,
    sd,
    p,
    interval95: interval(0.95),
    interval90: interval(0.9),
    effect: p === undefined ? undefined : effectSize(mean, sd!, n),
    smallestDifference: !enough || sd === undefined || smallest === undefined ? undefined : smallest * sd,
    beside: {
      signFlip: flipped?.twoSided,
      smallestSignFlip: flipped?.smallestTwoSided,
      wilcoxon: enough ? wilcoxon(differences)?.twoSided : undefined,
      bootstrap95: drawn?.bca ?? drawn?.percentile,
    },
  };
}

function decide(claim: Claim, { mean, adjusted, interval90 }: Facts & Pick<Verdict, "adjusted">): Verdict["verdict"] {
  if (claim.kind === "equal") {
    if (interval90 === undefined) return "not decidable";
    const [low, high] = interval90;
    if (low >= -claim.margin && high <= claim.margin) return "supported";
    return low > claim.margin || high < -claim.margin ? "contradicted" : "not decidable";
  }
  if (adjusted === undefined || adjusted >= ALPHA) return "not decidable";
  return mean > 0 === (claim.kind === "greater") ? "supported" : "contradicted";
}
