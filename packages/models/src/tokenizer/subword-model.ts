/** What a subword model is to the rest of a tokenizer, and the memory that makes it fast on text. */
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens of one word, first to last. Shared between calls: never written to. */
export interface Pieces {
  readonly ids: readonly number[];
  /** Where each token ends in the word, in UTF-16 units. */
  readonly ends: readonly number[];
}

export interface SubwordModel {
  readonly vocabulary: Vocabulary;
  pieces(word: string): Pieces;
}

const MOST_WORDS = 40_000;
const LONGEST_WORD = 64;

/** Remembers the pieces of short words: text repeats them. Starts anew when full. */
export function remembering(find: (word: string) => Pieces): (word: string) => Pieces {
  const known = new Map<string, Pieces>();
  return (word) => {
    const found = known.get(word);
    if (found !== undefined) return found;
    const pieces = find(word);
    if (word.length <= LONGEST_WORD) {
      if (known.size === MOST_WORDS) known.clear();
      known.set(word, pieces);
    }
    return pieces;
  };
}
