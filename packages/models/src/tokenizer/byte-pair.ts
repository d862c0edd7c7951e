/** Byte-pair encoding: of all neighbours the pair that was learnt first becomes one symbol, until none is left. Sennrich et al. 2016. */
import { quote } from "@lowrank/tensor";
import { absent, flag, leaf, refuse, text, type Place, type Rule } from "@lowrank/tensor/check";
import { part, type Part } from "./parts.ts";
import { remembering, type Pieces, type SubwordModel } from "./subword-model.ts";
import { LARGEST_ID, vocabulary, type Vocabulary } from "./vocabulary.ts";

interface BytePairOptions {
  dropout: 0 | undefined; unk_token: string | undefined; continuing_subword_prefix: string | undefined; end_of_word_suffix: string | undefined;
  fuse_unk: boolean | undefined; byte_fallback: false | undefined; ignore_merges: boolean | undefined; vocab: Vocabulary; merges: [string, string][];
}

/** Pairs, or in older files strings with one space between the two. */
const merges: Rule<[string, string][]> = {
  expects: "a list of pairs of tokens",
  read(value, at) {
    if (!Array.isArray(value)) return refuse(at, `must be a list of pairs of tokens, got ${quote(value)}`);
    return value.map((item: unknown, i) => {
      const pair = typeof item === "string" ? item.split(" ") : item;
      if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string") return refuse({ ...at, path: [...at.path, i] }, `must be two tokens, got ${quote(item)}`);
      return pair as [string, string];
    });
  },
};

/** Ranks of pairs of ids. Two ids below 2^26 make one exact number. */
const pairKey = (left: number, right: number): number => left * (LARGEST_ID + 1) + right;

class MergeTable {
  readonly #ranks = new Map<number, number>();
  readonly #results: number[] = [];

  constructor(vocab: Vocabulary, pairs: readonly [string, string][], prefix: string, at: Place) {
    for (const [rank, [left, right]] of pairs.entries()) {
      const result = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
      const ids = [left, right, result].map((token) => vocab.ids.get(token) ?? refuse(at, `merges ${quote(left)} and ${quote(right)}, but ${quote(token)} is not in its vocabulary`));
      this.#ranks.set(pairKey(ids[0]!, ids[1]!), rank);
      this.#results.push(ids[2]!);
    }
  }

  /** −1 where the two do not merge. */
  rank(left: number, right: number): number { return this.#ranks.get(pairKey(left, right)) ?? -1; }
  result(rank: number): number { return this.#results[rank]!; }
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
function mergeAll(symbols: number[], lengths: number[], table: MergeTable): void {
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

function build(options: BytePairOptions, at: Place): SubwordModel {
  const { vocab, unk_token, continuing_subword_prefix: prefix = "", end_of_word_suffix: suffix = "", fuse_unk = false, ignore_merges = false } = options;
  const unknown = unk_token === undefined ? undefined : vocab.ids.get(unk_token) ?? refuse(at, `has the unknown token ${quote(unk_token)}, which is not in its vocabulary`);
  const table = new MergeTable(vocab, options.merges, prefix, at);

  const find = (word: string): Pieces => {
    const complete = ignore_merges ? vocab.ids.get(word) : undefined;
    if (complete !== undefined) return { ids: [complete], ends: [word.length] };
    const symbols: number[] = [];
    const lengths: number[] = [];
    let afterUnknown = false;
    for (let start = 0; start < word.length; ) {
      const character = String.fromCodePoint(word.codePointAt(start)!);
      const end = start + character.length;
      const id = vocab.ids.get((start > 0 ? prefix : "") + character + (end === word.length ? suffix : ""));
      if (id === undefined && afterUnknown && fuse_unk) lengths[lengths.length - 1]! += character.length;
      else if (id !== undefined || unknown !== undefined) {
        symbols.push(id ?? unknown!);
        lengths.push(character.length);
      }
      afterUnknown = id === undefined && unknown !== undefined;
      start = end;
    }
    mergeAll(symbols, lengths, table);
    const ids: number[] = [];
    const ends: number[] = [];
    let end = 0;
    for (const [i, length] of lengths.entries()) {
      if (length === 0) continue;
      ids.push(symbols[i]!);
      ends.push((end += length));
    }
    return { ids, ends };
  };
  return { vocabulary: vocab, pieces: remembering(find) };
}

export const bytePair: Part<SubwordModel> = part<BytePairOptions, SubwordModel>(
  {
    dropout: absent(leaf<0>("0 or null (dropping merges at random is not built)", (v) => v === 0)),
    unk_token: absent(text), continuing_subword_prefix: absent(text), end_of_word_suffix: absent(text),
    fuse_unk: absent(flag), byte_fallback: absent(leaf<false>("false (byte fallback is not built)", (v) => v === false)), ignore_merges: absent(flag),
    vocab: vocabulary, merges,
  },
  build,
);
