/**
 * Wilcoxon's signed-rank test, exact: zeros are dropped, ties share the mean of their ranks, and W₊ is compared with its distribution over all
 * signs. Tables hold only without ties and zeros; there the two agree.
 */

export interface Wilcoxon {
  /** Differences that are not zero. */
  readonly n: number;
  readonly zeros: number;
  /** Sums of the ranks of positive and of negative differences. */
  readonly plus: number;
  readonly minus: number;
  /** Twice the smaller tail, at most 1. */
  readonly twoSided: number;
  readonly greater: number;
  readonly less: number;
}

/** Sizes that differ by less than this, relative to Σ|d|, are tied. */
const TIE = 1e-12;

/** Undefined where all differences are zero. */
export function wilcoxon(differences: readonly number[]): Wilcoxon | undefined {
  const tie = TIE * differences.reduce((sum, d) => sum + Math.abs(d), 0);
  const used = differences.filter((d) => Math.abs(d) > tie);
  const n = used.length;
  if (n === 0) return undefined;
  const doubled = doubledRanks(
    used.map((d) => Math.abs(d)),
    tie,
  );
  const plus = used.reduce((sum, d, i) => sum + (d > 0 ? doubled[i]! : 0), 0);
  // ways to make each sum: ranks are doubled, so that midranks are whole numbers
  const ways = new Float64Array(n * (n + 1) + 1);
  ways[0] = 1;
  for (const rank of doubled) for (let sum = ways.length - 1; sum >= rank; sum--) ways[sum]! += ways[sum - rank]!;
  const share = (from: number, to: number): number => ways.slice(from, to).reduce((a, b) => a + b, 0) / 2 ** n;
  const [greater, less] = [share(plus, ways.length), share(0, plus + 1)];
  return {
    n,
    zeros: differences.length - n,
    plus: plus / 2,
    minus: (n * (n + 1) - plus) / 2,
    twoSided: Math.min(1, 2 * Math.min(greater, less)),
    greater,
    less,
  };
}

/** Twice the rank of each size from 1; ties have twice the mean of their places. */
function doubledRanks(sizes: readonly number[], tie: number): number[] {
  const order = sizes.map((_, i) => i).sort((a, b) => sizes[a]! - sizes[b]!);
  const ranks = new Array<number>(sizes.length);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && sizes[order[to]!]! - sizes[order[to - 1]!]! <= tie) to++;
    for (let at = from; at < to; at++) ranks[order[at]!] = from + 1 + to;
    from = to;
  }
  return ranks;
}
