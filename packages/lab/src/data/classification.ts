/** Sequence classification examples as padded batches. Rows added to fill the last batch carry the label −100, which the loss ignores. */
import { type Group, paddedLength } from "./length-groups.ts";
import { sequence, sequenceCount, type TokenSet } from "./token-set.ts";

/** Label of rows and positions that count for nothing; torch's `ignore_index`. */
export const IGNORED = -100;

export interface ClassificationSet {
  /** Complete sequences, special tokens included, at most `maxLength` long. */
  readonly tokens: TokenSet;
  readonly labels: Int32Array;
  /** Row in the data file of each example, the first after the header being 0; absent: examples are the rows. */
  readonly rows?: Int32Array;
}

/** Arrays of one batch; `rows × length` unless said otherwise. */
export interface ClassificationBatch {
  readonly rows: number;
  readonly length: number;
  /** Position in the data set of each real row; the rows after these are filling. */
  readonly members: Group;
  readonly inputIds: Int32Array;
  /** 1 where there is a token. A filling row keeps its first position so that no attention row is empty. */
  readonly attentionMask: Uint8Array;
  /** `rows`. */
  readonly labels: Int32Array;
}

/** Pads a group to `rows` rows and to a multiple of `multiple` positions. */
export function classificationBatch(
  set: ClassificationSet,
  members: Group,
  options: { rows: number; multiple: number; padId: number },
): ClassificationBatch {
  const { rows, multiple, padId } = options;
  let longest = 1;
  for (const i of members) longest = Math.max(longest, set.tokens.offsets[i + 1]! - set.tokens.offsets[i]!);
  const length = paddedLength(longest, multiple);
  const inputIds = new Int32Array(rows * length).fill(padId);
  const attentionMask = new Uint8Array(rows * length);
  const labels = new Int32Array(rows).fill(IGNORED);
  members.forEach((member, row) => {
    const ids = sequence(set.tokens, member);
    inputIds.set(ids, row * length);
    attentionMask.fill(1, row * length, row * length + ids.length);
    labels[row] = set.labels[member]!;
  });
  for (let row = members.length; row < rows; row++) attentionMask[row * length] = 1;
  return { rows, length, members, inputIds, attentionMask, labels };
}

/** The chosen examples, in the order given, copied. */
export function subset(set: ClassificationSet, chosen: Int32Array): ClassificationSet {
  const offsets = new Uint32Array(chosen.length + 1);
  chosen.forEach((i, at) => {
    offsets[at + 1] = offsets[at]! + sequence(set.tokens, i).length;
  });
  const ids = new Uint32Array(offsets[chosen.length]!);
  chosen.forEach((i, at) => ids.set(sequence(set.tokens, i), offsets[at]!));
  return {
    tokens: { ids, offsets },
    labels: Int32Array.from(chosen, (i) => set.labels[i]!),
    rows: Int32Array.from(chosen, (i) => set.rows?.[i] ?? i),
  };
}

/** Number of examples. */
export function exampleCount(set: ClassificationSet): number {
  return sequenceCount(set.tokens);
}
