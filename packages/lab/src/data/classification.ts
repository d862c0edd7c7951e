/** Sequence classification examples as padded batches. Rows added to fill the last batch carry the label −100, which the loss ignores. */
import type { Batch, BatchShape, Examples } from "./examples.ts";
import { type Group, paddedLength } from "./length-groups.ts";
import { sequence, sequenceCount, sequenceLengths, type TokenSet } from "./token-set.ts";

/** Label of rows and positions that count for nothing; torch's `ignore_index`. */
export const IGNORED = -100;

/** Rows as they were read. */
export interface ClassificationSet {
  /** Complete sequences, special tokens included, at most `maxLength` long. */
  readonly tokens: TokenSet;
  readonly labels: Int32Array;
  /** Row in the data file of each example, the first after the header being 0; absent: examples are the rows. */
  readonly rows?: Int32Array;
}

export class ClassificationExamples implements Examples, ClassificationSet {
  readonly tokens: TokenSet;
  readonly labels: Int32Array;
  readonly rows?: Int32Array;
  readonly lengths: Int32Array;
  readonly padId: number;

  constructor(set: ClassificationSet, padId: number) {
    this.tokens = set.tokens;
    this.labels = set.labels;
    if (set.rows !== undefined) this.rows = set.rows;
    this.lengths = sequenceLengths(set.tokens);
    this.padId = padId;
  }

  get count(): number {
    return exampleCount(this);
  }

  /** `inputIds` i32 and `attentionMask` bool `[rows, length]`, `labels` i32 `[rows]`. */
  batch(members: Group, { rows, multiple }: BatchShape): Batch {
    const longest = members.reduce((most, i) => Math.max(most, this.lengths[i]!), 1);
    const length = paddedLength(longest, multiple);
    const ids = new Int32Array(rows * length).fill(this.padId);
    // a filling row keeps its first position so that no attention row is empty
    const mask = new Uint8Array(rows * length);
    const labels = new Int32Array(rows).fill(IGNORED);
    members.forEach((member, row) => {
      const tokens = sequence(this.tokens, member);
      ids.set(tokens, row * length);
      mask.fill(1, row * length, row * length + tokens.length);
      labels[row] = this.labels[member]!;
    });
    for (let row = members.length; row < rows; row++) mask[row * length] = 1;
    const shape = [rows, length];
    return {
      rows,
      length,
      members,
      counted: members.length,
      inputs: {
        inputIds: { data: ids, shape, dtype: "i32" },
        attentionMask: { data: mask, shape, dtype: "bool" },
        labels: { data: labels, shape: [rows], dtype: "i32" },
      },
    };
  }
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
