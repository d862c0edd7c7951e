/** The WordPiece tokenizer that texts of studies and pre-training go through: ids in bulk, without special tokens. */
import { readFileSync } from "node:fs";
import { parseTokenizer } from "@lowrank/models";
import { parseJson } from "@lowrank/tensor/check";
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
  const tokenizer = parseTokenizer(parseJson(readFileSync(path, "utf8"), path), {}, path);
  const id = (token: string): number => {
    const found = tokenizer.idOf(token);
    if (found === undefined) throw new InputError(`${path}: the vocabulary has no ${token}; a BERT WordPiece tokenizer is needed`);
    return found;
  };
  return {
    encode: (text) => tokenizer.encode(text, { specialTokens: false }).ids,
    special: { pad: id("[PAD]"), cls: id("[CLS]"), sep: id("[SEP]"), mask: id("[MASK]") },
    vocabSize: tokenizer.vocabSize,
    identity: hashFiles([path]),
  };
}
