/** WordPiece: the longest token of the vocabulary first, again and again; a word with a part that no token covers is unknown as a whole. */
import { quote } from "@lowrank/tensor";
import { refuse, text, whole, type Place } from "@lowrank/tensor/check";
import { part, type Part } from "./parts.ts";
import { remembering, type Pieces, type SubwordModel } from "./subword-model.ts";
import { vocabulary, type Vocabulary } from "./vocabulary.ts";

interface WordPieceOptions {
  unk_token: string;
  continuing_subword_prefix: string;
  max_input_chars_per_word: number;
  vocab: Vocabulary;
}

/** Finding the tokens of a word takes time that grows with the square of its length: 100 everywhere, and no file needs ten times that. */
const LONGEST_WORD = 1000;

function build(
  { unk_token, continuing_subword_prefix: prefix, max_input_chars_per_word: most, vocab }: WordPieceOptions,
  at: Place,
): SubwordModel {
  const unknown = vocab.ids.get(unk_token);
  if (unknown === undefined)
    return refuse(at, `has the unknown token ${quote(unk_token)}, which is not in its vocabulary`);

  const find = (word: string): Pieces => {
    const nothing: Pieces = { ids: [unknown], ends: [word.length] };
    if (word.length > most && [...word].length > most) return nothing;
    const ids: number[] = [];
    const ends: number[] = [];
    let start = 0;
    while (start < word.length) {
      const lead = start > 0 ? prefix : "";
      let end = Math.min(word.length, start + Math.max(0, vocab.longest - lead.length));
      let id: number | undefined;
      for (; end > start; end--) {
        // half a character is no token
        if ((word.charCodeAt(end) & 0xfc00) === 0xdc00) continue;
        id = vocab.ids.get(lead + word.slice(start, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return nothing;
      ids.push(id);
      ends.push(end);
      start = end;
    }
    return { ids, ends };
  };
  return { vocabulary: vocab, pieces: remembering(find) };
}

export const wordPiece: Part<SubwordModel> = part<WordPieceOptions, SubwordModel>(
  {
    unk_token: text,
    continuing_subword_prefix: text,
    max_input_chars_per_word: whole(0, LONGEST_WORD),
    vocab: vocabulary,
  },
  build,
);
