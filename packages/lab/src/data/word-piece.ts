/**
 * Fast bulk tokenising with a Hugging Face WordPiece tokenizer: BERT's pre-tokenizer never joins what white space
 * separates, so a text is the concatenation of its words and each distinct word is tokenised once.
 */
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { InputError } from "../errors.ts";
import { hashFiles, requireFile } from "./location.ts";

export interface SpecialIds {
  readonly pad: number;
  readonly cls: number;
  readonly sep: number;
  readonly mask: number;
}

export interface WordTokenizer {
  /** Ids of the text without special tokens. */
  encode(text: string): number[];
  readonly special: SpecialIds;
  readonly vocabSize: number;
  /** Content hash of the tokenizer's files. */
  readonly identity: string;
}

const TOKENIZER_FOLDER = "bert-base-uncased-tokenizer";

/** The bert-base-uncased tokenizer under the data folder. */
export function loadWordTokenizer(dataFolder: string): WordTokenizer {
  const path = requireFile(dataFolder, TOKENIZER_FOLDER, "tokenizer.json");
  let model: { vocab?: Record<string, number>; type?: string };
  let tokenizer: Tokenizer;
  try {
    const json = JSON.parse(readFileSync(path, "utf8")) as { model: typeof model };
    model = json.model;
    tokenizer = new Tokenizer(json, {});
  } catch (error) {
    throw new InputError(`${path}: not a readable tokenizer.json (${(error as Error).message})`, { cause: error });
  }
  const vocabulary = model.vocab ?? {};
  const id = (token: string): number => {
    const found = vocabulary[token];
    if (found === undefined) throw new InputError(`${path}: the vocabulary has no ${token}; a BERT WordPiece tokenizer is needed`);
    return found;
  };
  const words = new Map<string, number[]>();
  const encode = (text: string): number[] => {
    const ids: number[] = [];
    for (const word of text.split(/\s+/)) {
      if (word === "") continue;
      const known = words.get(word);
      const pieces = known ?? (tokenizer.encode(word, { add_special_tokens: false }).ids as number[]);
      if (known === undefined) words.set(word, pieces);
      for (const piece of pieces) ids.push(piece);
    }
    return ids;
  };
  return {
    encode,
    special: { pad: id("[PAD]"), cls: id("[CLS]"), sep: id("[SEP]"), mask: id("[MASK]") },
    vocabSize: Object.keys(vocabulary).length,
    identity: hashFiles([path]),
  };
}
