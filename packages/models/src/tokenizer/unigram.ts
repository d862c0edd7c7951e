/**
 * Unigram: of all ways to cut a word into tokens the one whose scores add up to most. Kudo 2018; found as Viterbi does, with the rules of
 * SentencePiece's `EncodeOptimized`: of equal sums the one found first counts, a character that is no token costs 10 more than the
 * worst token, and unknown neighbours are one token, spelt as it stands in the text.
 */
import { LowrankError, quote } from "@lowrank/tensor";
import { absent, flag, refuse, whole, type Place, type Rule } from "@lowrank/tensor/check";
import { byteIds } from "./byte-fallback.ts";
import { part, type Part } from "./parts.ts";
import { PrefixTree } from "./prefix-tree.ts";
import { remembering, type Pieces, type SubwordModel } from "./subword-model.ts";
import { LARGEST_ID, type Vocabulary } from "./vocabulary.ts";

interface Scored extends Vocabulary {
  readonly scores: Float64Array;
}
interface UnigramOptions {
  unk_id: number | undefined;
  byte_fallback: boolean | undefined;
  vocab: Scored;
}

/** Looking for tokens takes time that grows with the longest of them at every place of a word. */
const LONGEST_TOKEN = 1024;
const UNKNOWN_PENALTY = 10;

/** `[[token, score], …]`; ids are the places. Of two equal tokens the later one is found. */
const scored: Rule<Scored> = {
  expects: "a list of tokens with their scores",
  read(value, at) {
    if (!Array.isArray(value) || value.length > LARGEST_ID)
      return refuse(at, `must be a list of tokens with their scores, got ${quote(value)}`);
    const ids = new Map<string, number>();
    const tokens = new Map<number, string>();
    const scores = new Float64Array(value.length);
    let longest = 0;
    for (const [id, entry] of value.entries()) {
      const [token, score] = Array.isArray(entry) && entry.length === 2 ? (entry as [unknown, unknown]) : [];
      if (typeof token !== "string" || token.length > LONGEST_TOKEN || !Number.isFinite(score))
        return refuse(
          { ...at, path: [...at.path, id] },
          `must be a token of at most ${LONGEST_TOKEN} characters and its score, got ${quote(entry)}`,
        );
      ids.set(token, id);
      tokens.set(id, token);
      scores[id] = score as number;
      longest = Math.max(longest, token.length);
    }
    return { ids, tokens, longest, scores };
  },
};

/** What is best up to each place of a word: the sum, where the last token starts, and which it is. */
interface Paths {
  readonly sums: Float64Array;
  readonly starts: Int32Array;
  readonly ids: Int32Array;
}

function build({ unk_id: unknown, byte_fallback = false, vocab }: UnigramOptions, at: Place): SubwordModel {
  if (unknown !== undefined && unknown >= vocab.tokens.size)
    refuse(at, `has ${vocab.tokens.size} tokens, and the unknown one would be number ${unknown}`);
  const tree = new PrefixTree(new Map([...vocab.ids].filter(([token]) => token !== "" && isWhole(token))));
  const worst = vocab.scores.reduce((least, score) => Math.min(least, score), Infinity);
  const unknownScore = worst - UNKNOWN_PENALTY;
  const bytes = byte_fallback ? byteIds(vocab) : undefined;

  const pathsOf = (word: string): Paths => {
    const sums = new Float64Array(word.length + 1);
    const starts = new Int32Array(word.length + 1).fill(-1);
    const ids = new Int32Array(word.length + 1);
    const isBetter = (end: number, sum: number): boolean => starts[end]! < 0 || sum > sums[end]!;
    const take = (start: number, end: number, id: number, sum: number): void => {
      sums[end] = sum;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < word.length;) {
      const sum = sums[start]!;
      const next = start + (word.codePointAt(start)! > 0xffff ? 2 : 1);
      let alone = false;
      for (let node = 0, end = start; end < word.length;) {
        node = tree.child(node, word.charCodeAt(end++));
        if (node < 0) break;
        const id = tree.id(node);
        if (id < 0) continue;
        const through = sum + vocab.scores[id]!;
        if (isBetter(end, through)) take(start, end, id, through);
        alone ||= end === next;
      }
      if (!alone && isBetter(next, sum + unknownScore))
        take(start, next, unknown ?? missing(word.slice(start, next)), sum + unknownScore);
      start = next;
    }
    return { sums, starts, ids };
  };
  const missing = (character: string): never => {
    throw new LowrankError(
      "FormatError",
      `${at.source}: the vocabulary has no token for ${quote(character)}, and "${[...at.path, "unk_id"].join(".")}" names none for what is unknown`,
    );
  };

  const find = (word: string): Pieces => {
    const paths = pathsOf(word);
    // from the end of the word: where tokens end
    const cuts: number[] = [];
    for (let end = word.length, fusing = false; end > 0; end = paths.starts[end]!) {
      const isUnknown = paths.ids[end] === unknown;
      if (!(isUnknown && fusing)) cuts.push(end);
      fusing = isUnknown;
    }
    const [ids, starts, ends, tokens]: [number[], number[], number[], string[]] = [[], [], [], []];
    let start = 0;
    for (const end of cuts.reverse()) {
      const token = word.slice(start, end);
      const id = vocab.ids.get(token);
      const spelt = id === undefined ? bytes?.(token) : undefined;
      for (const [i, piece] of (spelt ?? [id ?? unknown!]).entries()) {
        ids.push(piece);
        starts.push(start);
        ends.push(end);
        tokens.push(spelt === undefined ? token : vocab.tokens.get(spelt[i]!)!);
      }
      start = end;
    }
    return { ids, starts, ends, tokens };
  };
  return { vocabulary: vocab, pieces: remembering(find) };
}

/** Half a character is in no text. */
const isWhole = (token: string): boolean => !/\p{Surrogate}/u.test(token);

export const unigram: Part<SubwordModel> = part<UnigramOptions, SubwordModel>(
  { unk_id: absent(whole(0, LARGEST_ID)), byte_fallback: absent(flag), vocab: scored },
  build,
);
