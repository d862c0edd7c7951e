/** Byte-pair encoding: of all neighbours the pair that was learnt first becomes one symbol, until none is left. Sennrich et al. 2016. */
import { quote } from "@lowrank/tensor";
import { absent, flag, leaf, refuse, text, type Place, type Rule } from "@lowrank/tensor/check";
import { mergeAll, MergeTable } from "./merging.ts";
import { part, type Part } from "./parts.ts";
import { remembering, type Pieces, type SubwordModel } from "./subword-model.ts";
import { vocabulary, type Vocabulary } from "./vocabulary.ts";

interface BytePairOptions {
  dropout: 0 | undefined;
  unk_token: string | undefined;
  continuing_subword_prefix: string | undefined;
  end_of_word_suffix: string | undefined;
  fuse_unk: boolean | undefined;
  byte_fallback: false | undefined;
  ignore_merges: boolean | undefined;
  vocab: Vocabulary;
  merges: [string, string][];
}

/** Pairs, or in older files strings with one space between the two. */
const merges: Rule<[string, string][]> = {
  expects: "a list of pairs of tokens",
  read(value, at) {
    if (!Array.isArray(value)) return refuse(at, `must be a list of pairs of tokens, got ${quote(value)}`);
    return value.map((item: unknown, i) => {
      const pair = typeof item === "string" ? item.split(" ") : item;
      if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string")
        return refuse({ ...at, path: [...at.path, i] }, `must be two tokens, got ${quote(item)}`);
      return pair as [string, string];
    });
  },
};

function build(options: BytePairOptions, at: Place): SubwordModel {
  const {
    vocab,
    unk_token,
    continuing_subword_prefix: prefix = "",
    end_of_word_suffix: suffix = "",
    fuse_unk = false,
    ignore_merges = false,
  } = options;
  const unknown =
    unk_token === undefined
      ? undefined
      : (vocab.ids.get(unk_token) ??
        refuse(at, `has the unknown token ${quote(unk_token)}, which is not in its vocabulary`));
  const table = new MergeTable(vocab, options.merges, prefix, at);

  const find = (word: string): Pieces => {
    const complete = ignore_merges ? vocab.ids.get(word) : undefined;
    if (complete !== undefined) return { ids: [complete], ends: [word.length] };
    const symbols: number[] = [];
    const lengths: number[] = [];
    let afterUnknown = false;
    for (let start = 0; start < word.length;) {
      const character = String.fromCodePoint(word.codePointAt(start)!);
      const end = start + character.length;
      const id = vocab.ids.get((start > 0 ? prefix : "") + character + (end === word.length ? suffix : ""));
      if (id === undefined && afterUnknown && fuse_unk) lengths[lengths.length - 1]! += character.length;
      else if (id !== undefined || unknown !== undefined) {
        symbols.push(id ?? unknown!);
        lengths.push(character.length);
      }
      afterUnknown = id === undefined && unknown !== undefined;
      start = end;
    }
    mergeAll(symbols, lengths, table);
    const ids: number[] = [];
    const ends: number[] = [];
    let end = 0;
    for (const [i, length] of lengths.entries()) {
      if (length === 0) continue;
      ids.push(symbols[i]!);
      ends.push((end += length));
    }
    return { ids, ends };
  };
  return { vocabulary: vocab, pieces: remembering(find) };
}

export const bytePair: Part<SubwordModel> = part<BytePairOptions, SubwordModel>(
  {
    dropout: absent(leaf<0>("0 or null (dropping merges at random is not built)", (v) => v === 0)),
    unk_token: absent(text),
    continuing_subword_prefix: absent(text),
    end_of_word_suffix: absent(text),
    fuse_unk: absent(flag),
    byte_fallback: absent(leaf<false>("false (byte fallback is not built)", (v) => v === false)),
    ignore_merges: absent(flag),
    vocab: vocabulary,
    merges,
  },
  build,
);
