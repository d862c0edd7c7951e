/** Byte-pair encoding: of all neighbours the pair that was learnt first becomes one symbol, until none is left. Sennrich et al. 2016. */
import { quote } from "@lowrank/tensor";
import { absent, flag, leaf, refuse, text, type Place, type Rule } from "@lowrank/tensor/check";
import { byteIds, byteLength, placesOfBytes } from "./byte-fallback.ts";
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
  byte_fallback: boolean | undefined;
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
    byte_fallback = false,
    ignore_merges = false,
  } = options;
  const unknown =
    unk_token === undefined
      ? undefined
      : (vocab.ids.get(unk_token) ??
        refuse(at, `has the unknown token ${quote(unk_token)}, which is not in its vocabulary`));
  const bytes = byte_fallback ? byteIds(vocab) : undefined;
  const table = new MergeTable(vocab, options.merges, prefix, at);

  const find = (word: string): Pieces => {
    const complete = ignore_merges ? vocab.ids.get(word) : undefined;
    if (complete !== undefined) return { ids: [complete], ends: [word.length] };
    const { symbols, lengths } = symbolsOf(word);
    mergeAll(symbols, lengths, table);
    const ids: number[] = [];
    const ends: number[] = [];
    let end = 0;
    for (const [i, length] of lengths.entries()) {
      if (length === 0) continue;
      ids.push(symbols[i]!);
      ends.push((end += length));
    }
    return bytes === undefined ? { ids, ends } : { ids, ...inUnits(word, ends) };
  };

  /** The characters of a word before any merge. Lengths are in UTF-16 units, with byte fallback in UTF-8 bytes. */
  const symbolsOf = (word: string): { symbols: number[]; lengths: number[] } => {
    const symbols: number[] = [];
    const lengths: number[] = [];
    const add = (id: number, length: number): void => {
      symbols.push(id);
      lengths.push(length);
    };
    // what is unknown waits for its unknown neighbours; bytes do not wait for it
    let waiting = 0;
    for (let start = 0; start < word.length;) {
      const point = word.codePointAt(start)!;
      const character = String.fromCodePoint(point);
      const end = start + character.length;
      const length = bytes === undefined ? character.length : byteLength(point);
      const spelt = (start > 0 ? prefix : "") + character + (end === word.length ? suffix : "");
      start = end;
      const id = vocab.ids.get(spelt);
      if (id !== undefined) {
        if (waiting > 0) add(unknown!, waiting);
        waiting = 0;
        add(id, length);
        continue;
      }
      const fallback = bytes?.(spelt);
      if (fallback !== undefined) for (const byte of fallback) add(byte, 1);
      else if (unknown !== undefined) {
        if (waiting > 0 && !fuse_unk) add(unknown, waiting);
        waiting = length + (fuse_unk ? waiting : 0);
      }
    }
    if (waiting > 0) add(unknown!, waiting);
    return { symbols, lengths };
  };
  return { vocabulary: vocab, pieces: remembering(find) };
}

/** Ends in bytes as places in UTF-16 units: a token of some bytes of a character stands where the character does. */
function inUnits(word: string, ends: readonly number[]): Pick<Pieces, "starts" | "ends"> {
  const places = placesOfBytes(word);
  let from = 0;
  const starts = ends.map((end) => {
    const start = places.starts[from] ?? word.length;
    from = end;
    return start;
  });
  return { starts, ends: ends.map((end) => places.ends[end - 1] ?? word.length) };
}

export const bytePair: Part<SubwordModel> = part<BytePairOptions, SubwordModel>(
  {
    dropout: absent(leaf<0>("0 or null (dropping merges at random is not built)", (v) => v === 0)),
    unk_token: absent(text),
    continuing_subword_prefix: absent(text),
    end_of_word_suffix: absent(text),
    fuse_unk: absent(flag),
    byte_fallback: absent(flag),
    ignore_merges: absent(flag),
    vocab: vocabulary,
    merges,
  },
  build,
);
