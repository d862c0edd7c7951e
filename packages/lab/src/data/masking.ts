/**
 * BERT's masking (Devlin et al. 2019, §3.1): 15 % of the tokens are to be predicted; of these 80 % become [MASK], 10 % a
 * random token, 10 % stay. Drawn anew for every batch. The number of slots per batch is fixed so that the projection to
 * the vocabulary is computed at masked positions only and the batch keeps its shape.
 */
import { RandomStream } from "@lowrank/tensor";
import { IGNORED } from "./classification.ts";
import type { Batch, BatchShape, Examples } from "./examples.ts";
import { type Group, paddedLength } from "./length-groups.ts";
import { sequence, sequenceCount, sequenceLengths, type TokenSet } from "./token-set.ts";
import type { SpecialIds } from "./word-piece.ts";

export interface MaskedBatch {
  readonly rows: number;
  readonly length: number;
  readonly members: Group;
  /** `rows × length`, with the masking applied. */
  readonly inputIds: Int32Array;
  readonly attentionMask: Uint8Array;
  /** `slots`: flat position row · length + column of each token to predict; 0 in an unused slot. */
  readonly positions: Int32Array;
  /** `slots`: the original token, or −100 in an unused slot. */
  readonly labels: Int32Array;
}

export interface MaskingOptions {
  /** Rows of the batch; those beyond the group are filling. */
  readonly rows: number;
  readonly multiple: number;
  readonly special: SpecialIds;
  readonly vocabSize: number;
  /** Share of tokens to predict. */
  readonly probability: number;
  readonly seed: number;
}

/** Slots of a batch shape: what `probability` of all positions can need at most. */
export function maskSlots(rows: number, length: number, probability: number): number {
  return Math.max(1, Math.round(rows * length * probability));
}

/** What stands in place of a token that is to be predicted. */
export function replacement(
  token: number,
  stream: RandomStream,
  { mask, vocabSize }: { readonly mask: number; readonly vocabSize: number },
): number {
  const draw = stream.uniform();
  if (draw < 0.8) return mask;
  return draw < 0.9 ? stream.integer(vocabSize) : token;
}

/** Batch of sequences *without* special tokens; `[CLS]` and `[SEP]` are added here and are never masked. */
export function maskedBatch(set: TokenSet, members: Group, options: MaskingOptions): MaskedBatch {
  const { rows, multiple, special, vocabSize, probability } = options;
  const stream = new RandomStream(options.seed, "masking");
  let longest = 1;
  for (const i of members) longest = Math.max(longest, sequence(set, i).length + 2);
  const length = paddedLength(longest, multiple);
  const inputIds = new Int32Array(rows * length).fill(special.pad);
  const attentionMask = new Uint8Array(rows * length);
  const candidates: number[] = [];
  members.forEach((member, row) => {
    const ids = sequence(set, member);
    const start = row * length;
    inputIds[start] = special.cls;
    inputIds.set(ids, start + 1);
    inputIds[start + 1 + ids.length] = special.sep;
    attentionMask.fill(1, start, start + ids.length + 2);
    for (let c = 1; c <= ids.length; c++) candidates.push(start + c);
  });
  for (let row = members.length; row < rows; row++) attentionMask[row * length] = 1;

  const slots = maskSlots(rows, length, probability);
  const positions = new Int32Array(slots);
  const labels = new Int32Array(slots).fill(IGNORED);
  // At least one: a batch of nothing to predict has no loss.
  const wanted = Math.min(slots, candidates.length, Math.max(1, Math.round(candidates.length * probability)));
  stream.shuffle(candidates);
  const chosen = candidates.slice(0, wanted).sort((a, b) => a - b);
  chosen.forEach((position, slot) => {
    positions[slot] = position;
    labels[slot] = inputIds[position]!;
    inputIds[position] = replacement(inputIds[position]!, stream, { mask: special.mask, vocabSize });
  });
  return { rows, length, members, inputIds, attentionMask, positions, labels };
}

/** Texts without special tokens as batches with masks of their own. */
export class MaskedExamples implements Examples {
  readonly lengths: Int32Array;
  readonly #set: TokenSet;
  readonly #options: Pick<MaskingOptions, "special" | "vocabSize" | "probability">;

  constructor(set: TokenSet, options: Pick<MaskingOptions, "special" | "vocabSize" | "probability">) {
    this.#set = set;
    this.#options = options;
    // [CLS] and [SEP]
    this.lengths = sequenceLengths(set).map((length) => length + 2);
  }

  get count(): number {
    return sequenceCount(this.#set);
  }

  /** `inputIds` i32 and `attentionMask` bool `[rows, length]`; `positions` and `labels` i32 `[slots]`. */
  batch(members: Group, shape: BatchShape, seed: number): Batch {
    const { rows, length, inputIds, attentionMask, positions, labels } = maskedBatch(this.#set, members, {
      ...this.#options,
      ...shape,
      seed,
    });
    return {
      rows,
      length,
      members,
      counted: labels.reduce((sum, label) => sum + Number(label !== IGNORED), 0),
      inputs: {
        inputIds: { data: inputIds, shape: [rows, length], dtype: "i32" },
        attentionMask: { data: attentionMask, shape: [rows, length], dtype: "bool" },
        positions: { data: positions, shape: [positions.length], dtype: "i32" },
        labels: { data: labels, shape: [labels.length], dtype: "i32" },
      },
    };
  }
}
