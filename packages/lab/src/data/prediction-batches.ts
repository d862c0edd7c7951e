/**
 * Batches whose shape depends on nothing but how long a text is: as many rows as come to about 512 tokens, filled up. So what a model says of a text
 * does not depend on which others it is asked about, nor on how many.
 */
import type { Batch, Examples } from "./examples.ts";
import { paddedLength, rowsFor, type Group } from "./length-groups.ts";

const TOKENS = 512;
/** Sequences are padded to a multiple of this. */
export const PREDICTION_MULTIPLE = 8;

/** Every example once, short ones first. */
export function* predictionBatches(examples: Pick<Examples, "lengths" | "batch">): Generator<Batch> {
  const buckets = new Map<number, number[]>();
  examples.lengths.forEach((length, i) => {
    const padded = paddedLength(length, PREDICTION_MULTIPLE);
    const bucket = buckets.get(padded);
    if (bucket === undefined) buckets.set(padded, [i]);
    else bucket.push(i);
  });
  for (const [padded, members] of [...buckets].toSorted(([a], [b]) => a - b)) {
    const rows = rowsFor(TOKENS, padded);
    for (let start = 0; start < members.length; start += rows) {
      const group: Group = Int32Array.from(members.slice(start, start + rows));
      yield examples.batch(group, { rows, multiple: PREDICTION_MULTIPLE }, 0);
    }
  }
}
