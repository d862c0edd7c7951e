/** Decoders: tokens back into text. Each is a step that takes strings and gives strings; what is left at the end is the text. */
import { absent, flag, leaf, listOf, text, whole, type Rule } from "@lowrank/tensor/check";
import { fromByteTokens } from "./byte-fallback.ts";
import { fromByteCharacters } from "./byte-level.ts";
import { inTurn } from "./in-turn.ts";
import { fromMetaspace, METASPACE_RULES, type MetaspaceOptions } from "./metaspace.ts";
import { part, partOf, type Part } from "./parts.ts";
import { BYTE_LEVEL_RULES, type ByteLevelOptions } from "./pre-tokenizer.ts";
import { REPLACE_RULES, searchedFor, type ReplaceOptions } from "./replace.ts";

export type Decoder = (tokens: readonly string[]) => readonly string[];

/** Without a decoder tokens are words. */
export const WORDS: Decoder = (tokens) => [tokens.join(" ")];

/** Spaces that tokenizing puts before punctuation and contractions; transformers' list. */
export function cleanUp(dirty: string): string {
  return CONTRACTIONS.reduce((t, word) => t.replaceAll(` ${word}`, word), withoutSpaces(dirty));
}
const CONTRACTIONS = ["n't", "'m", "'s", "'ve", "'re"];
const withoutSpaces = (dirty: string): string =>
  [".", "?", "!", ","].reduce((t, mark) => t.replaceAll(` ${mark}`, mark), dirty).replaceAll(" ' ", "'");

/** The WordPiece decoder's own list, which it applies to each token; it also contracts "do not". */
function cleanToken(token: string): string {
  let t = withoutSpaces(token).replaceAll(" n't", "n't").replaceAll(" 'm", "'m").replaceAll(" do not", " don't");
  for (const word of ["'s", "'ve", "'re"]) t = t.replaceAll(` ${word}`, word);
  return t;
}

function wordPiece({ prefix, cleanup }: { prefix: string; cleanup: boolean }): Decoder {
  return (tokens) =>
    tokens.map((token, i) => {
      const placed = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? cleanToken(placed) : placed;
    });
}

interface StripOptions {
  content: string;
  start: number;
  stop: number;
}
/** Takes at most `start` of the character from the beginning of each token, and at most `stop` from its end. */
function strip({ content, start, stop }: StripOptions): Decoder {
  return (tokens) =>
    tokens.map((token) => {
      let [from, to] = [0, token.length];
      for (let i = 0; i < start && token.startsWith(content, from); i++) from += content.length;
      for (let i = 0; i < stop && to - content.length >= from && token.endsWith(content, to); i++) to -= content.length;
      return token.slice(from, to);
    });
}

const DECODERS: Readonly<Record<string, Part<Decoder>>> = {
  WordPiece: part<{ prefix: string; cleanup: boolean }, Decoder>({ prefix: text, cleanup: flag }, wordPiece),
  ByteLevel: part<ByteLevelOptions, Decoder>(BYTE_LEVEL_RULES, () => (tokens) => [fromByteCharacters(tokens)]),
  BPEDecoder: part<{ suffix: string | undefined }, Decoder>(
    { suffix: absent(text) },
    ({ suffix = "</w>" }) =>
      (tokens) =>
        suffix === "" ? tokens : tokens.map((token, i) => token.replaceAll(suffix, i < tokens.length - 1 ? " " : "")),
  ),
  ByteFallback: part<object, Decoder>({}, () => fromByteTokens),
  Fuse: part<object, Decoder>({}, () => (tokens) => [tokens.join("")]),
  Metaspace: part<MetaspaceOptions, Decoder>(METASPACE_RULES, fromMetaspace),
  Replace: part<ReplaceOptions, Decoder>(REPLACE_RULES, (options, at) => {
    const pattern = searchedFor(options, at);
    return (tokens) =>
      pattern === undefined ? tokens : tokens.map((token) => token.replace(pattern, () => options.content));
  }),
  Strip: part<StripOptions, Decoder>(
    {
      content: leaf<string>("one character", (v) => typeof v === "string" && [...v].length === 1),
      start: whole(0),
      stop: whole(0),
    },
    strip,
  ),
  Sequence: part<{ decoders: Decoder[] }, Decoder>(
    { decoders: { expects: "a list of decoders", read: (value, at) => listOf(decoder).read(value, at) } },
    ({ decoders }, at) => inTurn(decoders, (tokens) => tokens.reduce((sum, token) => sum + token.length + 1, 0), at),
  ),
};

export const decoder: Rule<Decoder> = partOf("decoder", () => DECODERS);
