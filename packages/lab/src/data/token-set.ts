/** Token sequences of many examples in two flat arrays. Not a tokenizer. */

export interface TokenSet {
  /** All sequences one after the other. */
  readonly ids: Uint32Array;
  /** `offsets[i] … offsets[i + 1]` is sequence i; one entry more than there are sequences. */
  readonly offsets: Uint32Array;
}

/** Number of sequences. */
export function sequenceCount(set: TokenSet): number {
  return set.offsets.length - 1;
}

/** Ids of sequence `i`, a view. */
export function sequence(set: TokenSet, i: number): Uint32Array {
  return set.ids.subarray(set.offsets[i]!, set.offsets[i + 1]!);
}

/** Lengths of all sequences, at most `limit` each. */
export function sequenceLengths(set: TokenSet, limit: number = Infinity): Int32Array {
  return Int32Array.from({ length: sequenceCount(set) }, (_, i) =>
    Math.min(limit, set.offsets[i + 1]! - set.offsets[i]!),
  );
}

/** Packs sequences that arrive one by one. */
export class TokenSetBuilder {
  private ids = new Uint32Array(1 << 16);
  private used = 0;
  private readonly offsets: number[] = [0];

  push(sequence: ArrayLike<number>): void {
    while (this.used + sequence.length > this.ids.length) {
      const grown = new Uint32Array(this.ids.length * 2);
      grown.set(this.ids);
      this.ids = grown;
    }
    this.ids.set(sequence, this.used);
    this.used += sequence.length;
    this.offsets.push(this.used);
  }

  build(): TokenSet {
    return { ids: this.ids.slice(0, this.used), offsets: Uint32Array.from(this.offsets) };
  }
}

/** The set of these sequences. */
export function tokenSetOf(sequences: Iterable<ArrayLike<number>>): TokenSet {
  const builder = new TokenSetBuilder();
  for (const sequence of sequences) builder.push(sequence);
  return builder.build();
}
