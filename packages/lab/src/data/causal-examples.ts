/**
 * Texts of a causal model as padded batches: one text a row, or several. Padding is on the right, where no token of a text sees it, so there is no mask.
 * What is learnt is said by place and not by id: the token that ends a text is learnt and padding is not, also where both are one token.
 */
import { InvariantError } from "@lowrank/tensor";
import { IGNORED } from "./classification.ts";
import type { Batch, BatchShape, Examples } from "./examples.ts";
import { type Group, paddedLength } from "./length-groups.ts";
import { packTexts } from "./packing.ts";
import { sequence, sequenceLengths, type TokenSet } from "./token-set.ts";

export interface CausalSet {
  /** Complete texts, special tokens included. */
  readonly tokens: TokenSet;
  /** For each of `tokens.ids`, whether it is to be predicted. Of a text's first token nothing is asked, whatever stands here. */
  readonly learnt: Uint8Array;
}

export interface CausalOptions {
  /** Fills rows. Any token will do. */
  readonly padId: number;
  /** Tokens of a row at most. */
  readonly maxLength: number;
  /** Whether texts share rows. They do not see each other: positions start again with each. */
  readonly packed?: boolean;
}

/** A text within a batch. */
export interface PlacedText {
  readonly text: number;
  readonly row: number;
  /** Column of its first token. */
  readonly start: number;
  readonly length: number;
}

export class CausalExamples implements Examples {
  readonly set: CausalSet;
  readonly lengths: Int32Array;
  /** Tokens of each text that are predicted. */
  readonly targets: Int32Array;
  readonly #options: CausalOptions;
  readonly #textLengths: Int32Array;
  /** Texts of each row. */
  readonly #rows: readonly Int32Array[];

  constructor(set: CausalSet, options: CausalOptions) {
    this.set = set;
    this.#options = options;
    const lengths = sequenceLengths(set.tokens);
    const long = lengths.findIndex((length) => length > options.maxLength);
    if (long >= 0)
      throw new InvariantError(`text ${long} has ${lengths[long]} tokens, and rows have ${options.maxLength}`);
    this.#textLengths = lengths;
    this.#rows =
      options.packed === true ? packTexts(lengths, options.maxLength) : Array.from(lengths, (_, i) => Int32Array.of(i));
    this.lengths = Int32Array.from(this.#rows, (texts) => texts.reduce((sum, text) => sum + lengths[text]!, 0));
    this.targets = Int32Array.from(lengths, (_, text) => this.#learnt(text).reduce((sum, is) => sum + is, 0));
  }

  /** Rows. */
  get count(): number {
    return this.#rows.length;
  }

  get texts(): number {
    return this.#textLengths.length;
  }

  /** Where the texts of these rows are. */
  placed(members: Group): PlacedText[] {
    return Array.from(members).flatMap((member, row) => {
      let start = 0;
      return Array.from(this.#rows[member]!, (text): PlacedText => {
        const length = this.#textLengths[text]!;
        start += length;
        return { text, row, start: start - length, length };
      });
    });
  }

  /**
   * `inputIds` and `labels` i32 `[rows, length]`: labels are the tokens themselves, −100 where none is learnt; the model shifts them. Packed rows have
   * `positionIds` i32 `[rows, length]` too.
   */
  batch(members: Group, { rows, multiple }: BatchShape): Batch {
    const { padId, maxLength, packed } = this.#options;
    const longest = members.reduce((most, i) => Math.max(most, this.lengths[i]!), 1);
    // a model may have no more positions than the longest row
    const length = Math.max(longest, Math.min(paddedLength(longest, multiple), maxLength));
    const ids = new Int32Array(rows * length).fill(padId);
    const labels = new Int32Array(rows * length).fill(IGNORED);
    // padding is at 0, which every model has: to packed rows each such token is a text by itself
    const positions = new Int32Array(rows * length);
    let counted = 0;
    for (const { text, row, start, length: size } of this.placed(members)) {
      const at = row * length + start;
      const tokens = sequence(this.set.tokens, text);
      ids.set(tokens, at);
      this.#learnt(text).forEach((is, i) => {
        if (is !== 0) labels[at + i] = tokens[i]!;
      });
      for (let i = 0; i < size; i++) positions[at + i] = i;
      counted += this.targets[text]!;
    }
    const shape = [rows, length];
    return {
      rows,
      length,
      members,
      counted,
      inputs: {
        inputIds: { data: ids, shape, dtype: "i32" },
        labels: { data: labels, shape, dtype: "i32" },
        ...(packed === true ? { positionIds: { data: positions, shape, dtype: "i32" } } : {}),
      },
    };
  }

  /** A byte a token, 0 or 1. */
  #learnt(text: number): Uint8Array {
    const { tokens, learnt } = this.set;
    const of = learnt.slice(tokens.offsets[text], tokens.offsets[text + 1]);
    if (of.length > 0) of[0] = 0;
    return of.map((is) => Number(is !== 0));
  }
}
