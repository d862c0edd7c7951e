/** The merging of byte-pair encoding: a table of what merges, and the loop that merges the pair of lowest rank until none is left. */
import { quote } from "@lowrank/tensor";
import { refuse, type Place } from "@lowrank/tensor/check";
import { LARGEST_ID, type Vocabulary } from "./vocabulary.ts";

/** Ranks of pairs of ids. Two ids below 2^26 make one exact number. */
const pairKey = (left: number, right: number): number => left * (LARGEST_ID + 1) + right;

export class MergeTable {
  readonly #ranks = new Map<number, number>();
  readonly #results: number[] = [];

  constructor(vocab: Vocabulary, pairs: readonly [string, string][], prefix: string, at: Place) {
    for (const [rank, [left, right]] of pairs.entries()) {
      const result = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
      const ids = [left, right, result].map(
        (token) =>
          vocab.ids.get(token) ??
          refuse(at, `merges ${quote(left)} and ${quote(right)}, but ${quote(token)} is not in its vocabulary`),
      );
      this.#ranks.set(pairKey(ids[0]!, ids[1]!), rank);
      this.#results.push(ids[2]!);
    }
  }

  /** −1 where the two do not merge. */
  rank(left: number, right: number): number {
    return this.#ranks.get(pairKey(left, right)) ?? -1;
  }
  result(rank: number): number {
    return this.#results[rank]!;
  }
}

/** Lowest first. An entry is rank · 2^27 + position, so that of equal ranks the left one comes first. */
const POSITIONS = 2 ** 27;

class Queue {
  readonly #heap: number[] = [];

  push(rank: number, position: number): void {
    const heap = this.#heap;
    const entry = rank * POSITIONS + position;
    let at = heap.length;
    for (let parent = (at - 1) >> 1; at > 0 && heap[parent]! > entry; parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** Merges in place: `symbols` with their `lengths`; what has been merged into its left neighbour has length 0. */
export function mergeAll(symbols: number[], lengths: number[], table: MergeTable): void {
  const count = symbols.length;
  const next = Int32Array.from({ length: count }, (_, i) => i + 1);
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const queue = new Queue();
  const offer = (left: number, right: number): void => {
    const rank = left < 0 || right >= count ? -1 : table.rank(symbols[left]!, symbols[right]!);
    if (rank >= 0) queue.push(rank, left);
  };
  for (let i = 0; i + 1 < count; i++) offer(i, i + 1);
  for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
    const left = entry % POSITIONS;
    const rank = Math.floor(entry / POSITIONS);
    const right = next[left]!;
    // an entry may be stale: one of the two has merged with somebody else since
    if (lengths[left] === 0 || right >= count || table.rank(symbols[left]!, symbols[right]!) !== rank) continue;
    symbols[left] = table.result(rank);
    lengths[left]! += lengths[right]!;
    lengths[right] = 0;
    next[left] = next[right]!;
    if (next[left]! < count) previous[next[left]!] = left;
    offer(previous[left]!, left);
    offer(left, next[left]!);
  }
}
