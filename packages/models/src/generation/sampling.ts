/**
 * What a text goes on with: scores changed and words taken out as transformers does it, in its order, and a draw from what is left.
 *
 *   repetition penalty r   scores of words that were seen: s / r where positive, s · r else
 *   temperature t          s / t
 *   top-k                  the k best; equal ones all
 *   top-p                  the fewest best that come to p together, one at least
 *   min-p                  those at least min-p times as likely as the best
 */

export interface Sampling {
  /** Default 1. */
  readonly temperature?: number | undefined;
  /** 0: all words. Default 50, as in transformers. */
  readonly topK?: number | undefined;
  /** Default 1: all words. */
  readonly topP?: number | undefined;
  /** Default 0: all words. */
  readonly minP?: number | undefined;
}

/** Words that may follow, by increasing id, with their scores. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly scores: Float64Array;
}

export const DEFAULT_TOP_K = 50;

/** Scores as numbers that may be changed, those of words that were seen penalized. */
export function penalized(scores: ArrayLike<number>, seen: Iterable<number>, penalty: number): Float64Array {
  const out = Float64Array.from(scores);
  if (penalty === 1) return out;
  for (const id of seen) {
    const score = out[id];
    // an id behind the vocabulary of the scores has none
    if (score !== undefined) out[id] = score > 0 ? score / penalty : score * penalty;
  }
  return out;
}

/** The best word: the first of equal ones. */
export function best(scores: ArrayLike<number>): number {
  let at = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[at]!) at = i;
  return at;
}

/** What is left of scores, in all words' order. */
export function candidates(
  scores: Float64Array,
  { temperature = 1, topK = DEFAULT_TOP_K, topP = 1, minP = 0 }: Sampling,
): Candidates {
  let left = topK > 0 && topK < scores.length ? mostLikely(scores, topK) : all(scores);
  if (temperature !== 1) left = { ids: left.ids, scores: left.scores.map((s) => s / temperature) };
  if (topP < 1) left = nucleus(left, topP);
  if (minP > 0) left = likelyEnough(left, minP);
  return left;
}

/** The word at which the sum of probabilities passes u, in [0, 1). */
export function draw({ ids, scores }: Candidates, u: number): number {
  const p = probabilities(scores);
  let sum = 0;
  for (const [i, v] of p.entries()) {
    sum += v;
    if (u < sum) return ids[i]!;
  }
  // rounding kept the sum below u: the last that is possible at all
  return ids[p.findLastIndex((v) => v > 0)]!;
}

/** softmax. */
export function probabilities(scores: Float64Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const e = scores.map((s) => Math.exp(s - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

function all(scores: Float64Array): Candidates {
  return { ids: Int32Array.from(scores.keys()), scores };
}

function kept({ ids, scores }: Candidates, keeps: (i: number) => boolean): Candidates {
  const at = Array.from(ids.keys()).filter(keeps);
  return { ids: Int32Array.from(at, (i) => ids[i]!), scores: Float64Array.from(at, (i) => scores[i]!) };
}

function mostLikely(scores: Float64Array, k: number): Candidates {
  const least = kthLargest(scores, k);
  const ids: number[] = [];
  for (let i = 0; i < scores.length; i++) if (scores[i]! >= least) ids.push(i);
  return { ids: Int32Array.from(ids), scores: Float64Array.from(ids, (i) => scores[i]!) };
}

/** A heap of the k largest so far, the least of them on top. */
function kthLargest(scores: Float64Array, k: number): number {
  const heap = scores.slice(0, k).sort();
  for (let i = k; i < scores.length; i++) {
    const score = scores[i]!;
    if (!(score > heap[0]!)) continue;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= k) break;
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child++;
      if (score <= heap[child]!) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = score;
  }
  return heap[0]!;
}

function nucleus(left: Candidates, topP: number): Candidates {
  const p = probabilities(left.scores);
  // all that are less likely than this come to less than 1 − p together: they need not be sorted
  const least = (1 - topP) / p.length;
  const order = Array.from(p.keys())
    .filter((i) => p[i]! >= least)
    .sort((a, b) => p[b]! - p[a]! || a - b);
  const chosen = new Set<number>();
  let sum = 0;
  for (const i of order) {
    if (sum >= topP && chosen.size > 0) break;
    chosen.add(i);
    sum += p[i]!;
  }
  if (chosen.size === 0) chosen.add(best(p));
  return kept(left, (i) => chosen.has(i));
}

function likelyEnough(left: Candidates, minP: number): Candidates {
  const p = probabilities(left.scores);
  const least = minP * p.reduce((a, b) => Math.max(a, b), 0);
  return kept(left, (i) => p[i]! >= least);
}
