/** Decoders: tokens back into text. */
import { flag, text, type Rule } from "@lowrank/tensor/check";
import { fromByteCharacters } from "./byte-level.ts";
import { part, partOf, type Part } from "./parts.ts";
import { BYTE_LEVEL_RULES, type ByteLevelOptions } from "./pre-tokenizer.ts";

export type Decoder = (tokens: readonly string[]) => string;

/** Without a decoder tokens are words. */
export const WORDS: Decoder = (tokens) => tokens.join(" ");

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
    tokens
      .map((token, i) => {
        const placed = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return cleanup ? cleanToken(placed) : placed;
      })
      .join("");
}

const DECODERS: Readonly<Record<string, Part<Decoder>>> = {
  WordPiece: part<{ prefix: string; cleanup: boolean }, Decoder>({ prefix: text, cleanup: flag }, wordPiece),
  ByteLevel: part<ByteLevelOptions, Decoder>(BYTE_LEVEL_RULES, () => fromByteCharacters),
};

export const decoder: Rule<Decoder> = partOf("decoder", () => DECODERS);
