/** What a subword model is to the rest of a tokenizer, and the memory that makes it fast on text. */
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens of one word, first to last. Shared between calls: never written to. */
export interface Pieces {
  readonly ids: readonly number[];
  /** Where each token starts in the word, in UTF-16 units; absent: where the one before it ends. */
  readonly starts?: readonly number[];
  readonly ends: readonly number[];
  /** How each is spelt; absent: as the vocabulary spells it. */
  readonly tokens?: readonly string[];
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
