/**
 * Sentences that are given as words, as token ids. A word's first token stands for it, the others are asked for nothing. A sentence that is longer than a
 * model takes becomes several parts of whole words, so that each word is asked for once and none is lost.
 */
import type { Tokenizer } from "@lowrank/models";
import { InputError } from "../errors.ts";

export interface TaggedPart {
  /** Which sentence. */
  readonly sentence: number;
  /** Complete, special tokens included. */
  readonly ids: readonly number[];
  /** Words that have a token here: their place in the sentence, and that of their first token in `ids`. */
  readonly words: readonly { readonly word: number; readonly token: number }[];
}

/**
 * @param maxLength most tokens of a part, special ones included
 * @param place of a sentence, for messages
 */
export function taggedParts(
  tokenizer: Tokenizer,
  sentences: readonly (readonly string[])[],
  maxLength: number,
  place: (sentence: number) => string,
): TaggedPart[] {
  const between = spacing(tokenizer);
  const added = tokenizer.encode("").ids.length;
  if (maxLength <= added)
    throw new InputError(`maxLength ${maxLength} has no room for a word beside ${added} special tokens; raise it`);
  return sentences.flatMap((words, sentence) => {
    const spaced = words.map((word, i) => (i === 0 ? word : `${between}${word}`));
    const parts = cutWords(tokenCounts(tokenizer, spaced), maxLength - added).map(([from, to]): TaggedPart => {
      const { ids, wordIds } = tokenizer.encode(spaced.slice(from, to), { maxLength });
      const first = new Map<number, number>();
      for (const [token, word] of wordIds.entries()) if (word !== null && !first.has(word)) first.set(word, token);
      return { sentence, ids, words: [...first].map(([word, token]) => ({ word: from + word, token })) };
    });
    if (parts.every((part) => part.words.length === 0))
      throw new InputError(`${place(sentence)}: the tokenizer finds no token in the words`);
    return parts;
  });
}

/** What stands between words, so that together they are read as their text would be: byte-level tokenizers take the space with the word after it. */
function spacing(tokenizer: Tokenizer): string {
  const plain = { specialTokens: false };
  const asText = tokenizer.encode("a b", plain).ids.join();
  const asWords = (between: string): string => tokenizer.encode(["a", `${between}b`], plain).ids.join();
  return asText !== asWords("") && asText === asWords(" ") ? " " : "";
}

function tokenCounts(tokenizer: Tokenizer, words: readonly string[]): number[] {
  const counts = words.map(() => 0);
  for (const word of tokenizer.encode(words, { specialTokens: false }).wordIds) if (word !== null) counts[word]!++;
  return counts;
}

/** Runs of words whose tokens fit; a word that does not fit by itself is a run, and loses tokens that nobody asks for. */
function cutWords(counts: readonly number[], room: number): [number, number][] {
  const runs: [number, number][] = [];
  let [from, used] = [0, 0];
  for (const [word, count] of counts.entries()) {
    if (word > from && used + count > room) {
      runs.push([from, word]);
      [from, used] = [word, 0];
    }
    used += count;
  }
  if (counts.length > from) runs.push([from, counts.length]);
  return runs;
}
