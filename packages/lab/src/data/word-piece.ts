/** The tokenizer that texts of studies and pre-training go through: ids in bulk, without special tokens; its files, and whose they are. */
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadTokenizer } from "@lowrank/models";
import { parseJson } from "@lowrank/tensor/check";
import { asInput, InputError } from "../errors.ts";
import { hashFiles, requireFile } from "./location.ts";
import { readText } from "./read-file.ts";

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
const TOKENIZER = "tokenizer.json";
const TOKENIZER_CONFIG = "tokenizer_config.json";
/** What a tokenizer consists of in a folder of Hugging Face; only the first is needed. `vocab.txt` says again what is in it. */
const READ_FILES = [TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"];
const TOKENIZER_FILES = [...READ_FILES, "vocab.txt"];
/** Templates of chats make it long. */
const LARGEST_CONFIG = 2 ** 24;

/** A checkpoint is read with its own tokenizer; a base that is made from a seed takes bert-base-uncased's from the data folder. */
export function tokenizerFolder(dataFolder: string, base: string | null): string {
  if (base === null) return dirname(requireFile(dataFolder, TOKENIZER_FOLDER, TOKENIZER));
  if (!existsSync(join(base, TOKENIZER)))
    throw new InputError(
      `${base}: there is no ${TOKENIZER}; copy the one that this checkpoint was trained with next to it, since the ids of another vocabulary mean other words`,
    );
  return base;
}

/** Content of the tokenizer in a folder: what token caches and run ids depend on. */
export function tokenizerIdentity(folder: string): string {
  return hashFiles(READ_FILES.map((name) => join(folder, name)).filter((path) => existsSync(path)));
}

/** The tokenizer in `folder`. Throws InputError for anything but a BERT tokenizer. */
export async function loadWordTokenizer(folder: string): Promise<WordTokenizer> {
  const path = join(folder, TOKENIZER);
  const tokenizer = await asInput(() => loadTokenizer(folder));
  const id = (token: string): number => {
    const found = tokenizer.idOf(token);
    if (found === undefined)
      throw new InputError(`${path}: the vocabulary has no ${token}; a BERT WordPiece tokenizer is needed`);
    return found;
  };
  return {
    encode: (text) => tokenizer.encode(text, { specialTokens: false }).ids,
    special: { pad: id("[PAD]"), cls: id("[CLS]"), sep: id("[SEP]"), mask: id("[MASK]") },
    vocabSize: tokenizer.vocabSize,
    identity: tokenizerIdentity(folder),
  };
}

/** Copies the tokenizer of one folder into another, which then can be used by itself: transformers makes up an empty one where there is none. */
export function copyTokenizer(from: string, to: string): void {
  for (const file of TOKENIZER_FILES) if (existsSync(join(from, file))) copyFileSync(join(from, file), join(to, file));
  const config = existsSync(join(to, TOKENIZER_CONFIG))
    ? parseJson(readText(join(to, TOKENIZER_CONFIG), LARGEST_CONFIG), join(from, TOKENIZER_CONFIG))
    : {};
  if (typeof config !== "object" || config === null || "tokenizer_class" in config) return;
  // without a class transformers asks config.json, which an adapter's folder has not
  const named = {
    cls_token: "[CLS]",
    mask_token: "[MASK]",
    pad_token: "[PAD]",
    sep_token: "[SEP]",
    unk_token: "[UNK]",
    ...config,
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  writeFileSync(join(to, TOKENIZER_CONFIG), `${JSON.stringify(named, null, 2)}\n`);
}
