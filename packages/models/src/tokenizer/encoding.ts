/** What encoding a text gives: one entry per token in every list. */
export interface Encoding {
  readonly ids: number[];
  /** As the vocabulary spells them; an added token as it stands in the text, with the white space that it takes along. */
  readonly tokens: string[];
  /** Which segment the model is to take a token for. RoBERTa's pairs are all 0. */
  readonly typeIds: number[];
  /** 1 where the post-processor added the token; a special token that the text itself spells has 0. */
  readonly specialTokensMask: number[];
  /**
   * Where the token stands: `text.slice(...offsets[i])`, in UTF-16 units as JavaScript counts them (Python's offsets count code points).
   * For words given one by one, within the word. Tokens of one character all have that character's place; added ones have [0, 0].
   */
  readonly offsets: [number, number][];
  /** The word the token is part of: its index among the given words, else among the pieces that the pre-tokenizer cut. Null for added tokens. */
  readonly wordIds: (number | null)[];
  /** 0 for the text, 1 for its pair, null for added tokens. */
  readonly sequenceIds: (number | null)[];
}

export function emptyEncoding(): Encoding {
  return { ids: [], tokens: [], typeIds: [], specialTokensMask: [], offsets: [], wordIds: [], sequenceIds: [] };
}

/** One after the other. */
export function joined(parts: readonly Encoding[]): Encoding {
  if (parts.length === 1) return parts[0]!;
  const all = emptyEncoding();
  for (const part of parts) for (const list of LISTS) append<unknown>(all[list], part[list]);
  return all;
}

const LISTS = Object.keys(emptyEncoding()) as (keyof Encoding)[];
/** Not by spreading: a text may have more tokens than a call has room for arguments. */
function append<T>(to: T[], from: readonly T[]): void {
  for (const item of from) to.push(item);
}

/** Tokens [from, to). */
export function cut(whole: Encoding, from: number, to: number): Encoding {
  return {
    ids: whole.ids.slice(from, to),
    tokens: whole.tokens.slice(from, to),
    typeIds: whole.typeIds.slice(from, to),
    specialTokensMask: whole.specialTokensMask.slice(from, to),
    offsets: whole.offsets.slice(from, to),
    wordIds: whole.wordIds.slice(from, to),
    sequenceIds: whole.sequenceIds.slice(from, to),
  };
}
