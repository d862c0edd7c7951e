/**
 * Batches of examples of similar length, so that little is padding and a compiled step meets few shapes. Training order
 * follows Hugging Face's LengthGroupedSampler (shuffle, cut into mega-batches, sort each by length, cut into batches)
 * with the batches shuffled again, so that long and short batches mix.
 */
import { RandomStream } from "@lowrank/tensor";
import { permutation } from "../random/seeds.ts";

/** Positions of the examples in one batch; the last batch of an epoch may have fewer than `batchSize`. */
export type Group = Int32Array;

/** Batches per mega-batch, as in transformers' `LengthGroupedSampler` (`mega_batch_mult`). */
const MEGA_BATCHES = 50;

/** Every example exactly once, in batches of similar length, in an order that only `seed` decides. */
export function trainingGroups(lengths: Int32Array, batchSize: number, seed: number): Group[] {
  const stream = new RandomStream(seed, "training-groups");
  const order = Int32Array.from(permutation(lengths.length, stream));
  // Small sets: fewer, so that there are at least four mega-batches and the sort does not undo the shuffle.
  const megaBatches = Math.max(1, Math.min(MEGA_BATCHES, Math.floor(lengths.length / (batchSize * 4))));
  const groups: Group[] = [];
  let short: Group | undefined;
  for (let start = 0; start < order.length; start += megaBatches * batchSize) {
    const mega = order.subarray(start, start + megaBatches * batchSize);
    for (const group of cut(sortByLength(mega, lengths), batchSize)) {
      if (group.length === batchSize) groups.push(group);
      else short = group;
    }
  }
  const shuffled = stream.shuffle(groups);
  return short === undefined ? shuffled : [...shuffled, short];
}

/** Every example exactly once, longest last, without any randomness: for evaluation. */
export function evaluationGroups(lengths: Int32Array, batchSize: number): Group[] {
  return cut(
    sortByLength(
      Int32Array.from(lengths, (_, i) => i),
      lengths,
    ),
    batchSize,
  );
}

/**
 * Batches of equal padded length with about `tokens` tokens each, whatever the length: many short rows or few long ones.
 * Every example exactly once; one batch shape per padded length.
 */
export function tokenBudgetGroups(lengths: Int32Array, tokens: number, multiple: number, seed: number): Group[] {
  const stream = new RandomStream(seed, "token-budget-groups");
  const buckets = new Map<number, number[]>();
  for (const i of permutation(lengths.length, stream)) {
    const padded = paddedLength(lengths[i]!, multiple);
    const bucket = buckets.get(padded);
    if (bucket === undefined) buckets.set(padded, [i]);
    else bucket.push(i);
  }
  return stream.shuffle(
    [...buckets].flatMap(([padded, members]) => cut(Int32Array.from(members), rowsFor(tokens, padded))),
  );
}

/** Rows of a batch of `tokens` tokens at a padded length. */
export function rowsFor(tokens: number, padded: number): number {
  return Math.max(1, Math.floor(tokens / padded));
}

/** The next multiple: sequences are padded to it so that a study meets max-length ÷ multiple shapes at most. */
export function paddedLength(length: number, multiple: number): number {
  return Math.max(1, Math.ceil(length / multiple)) * multiple;
}

/** Stable, so that equal lengths keep their shuffled order. */
function sortByLength(members: Int32Array, lengths: Int32Array): Int32Array {
  return Int32Array.from(Array.from(members).sort((a, b) => lengths[a]! - lengths[b]!));
}

function cut(members: Int32Array, size: number): Group[] {
  const groups: Group[] = [];
  for (let start = 0; start < members.length; start += size) groups.push(members.slice(start, start + size));
  return groups;
}
