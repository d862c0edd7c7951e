/** The tokenizer that texts of studies and pre-training go through: ids in bulk, without special tokens; its files, and whose they are. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadTokenizer, readTokenizerFiles } from "@lowrank/models";
import { parseJson } from "@lowrank/tensor/check";
import { canonicalHash } from "../config/canonical.ts";
import { asInput, InputError } from "../errors.ts";
import { hashFiles, requireFile, revisionOf } from "./location.ts";
import { readText, statOf } from "./read-file.ts";

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
/** What a tokenizer consists of in a folder of Hugging Face; only the first is needed. */
const READ_FILES = [TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"];
/** Templates of chats make it long. */
const LARGEST_CONFIG = 2 ** 24;

/** Where the tokenizer is: a checkpoint is read with its own; a base that is made from a seed takes bert-base-uncased's from the data folder. */
export function tokenizerFolder(dataFolder: string, base: string | null): string {
  return base ?? dirname(requireFile(dataFolder, TOKENIZER_FOLDER, TOKENIZER));
}

/** Content of a tokenizer: what token caches and run ids depend on. @param from as `loadTokenizer` takes it */
export async function tokenizerIdentity(from: string, revision?: string): Promise<string> {
  if (statOf(join(from, TOKENIZER)) !== undefined)
    return hashFiles(READ_FILES.map((name) => join(from, name)).filter((path) => existsSync(path)));
  return canonicalHash([...(await filesOf(from, revision))]);
}

/** The files of a tokenizer, wherever it is. @throws InputError where there is none */
async function filesOf(from: string, revision: string | undefined): Promise<ReadonlyMap<string, string>> {
  const files = await asInput(() => readTokenizerFiles(from, revisionOf({ revision })));
  if (files.size === 0)
    throw new InputError(
      `${from}: there is no ${TOKENIZER}; copy the one that this checkpoint was trained with next to it, since the ids of another vocabulary mean other words`,
    );
  return files;
}

/** The tokenizer at `folder`. Throws InputError for anything but a BERT tokenizer. */
export async function loadWordTokenizer(folder: string, revision?: string): Promise<WordTokenizer> {
  const path = join(folder, TOKENIZER);
  const tokenizer = await asInput(() => loadTokenizer(folder, revisionOf({ revision })));
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
    identity: await tokenizerIdentity(folder, revision),
  };
}

/**
 * Copies a tokenizer into a folder, which then can be used by itself: transformers makes up an empty one where there is none. That of a GGUF file
 * is written as the files that it comes to.
 */
export async function copyTokenizer(from: string, to: string, revision?: string): Promise<void> {
  for (const [name, text] of await filesOf(from, revision)) writeFileSync(join(to, name), text);
  const config = existsSync(join(to, TOKENIZER_CONFIG))
    ? parseJson(readText(join(to, TOKENIZER_CONFIG), LARGEST_CONFIG), join(from, TOKENIZER_CONFIG))
    : {};
  if (typeof config !== "object" || config === null || "tokenizer_class" in config) return;
  const { idOf } = await known(to);
  const { model } = parseJson(readText(join(to, TOKENIZER)), join(from, TOKENIZER)) as {
    readonly model?: { readonly type?: unknown };
  };
  const special: Readonly<Record<string, string>> = model?.type === "WordPiece" ? BERT_TOKENS : {};
  // without a class transformers asks config.json, which an adapter's folder has not
  const named = {
    ...Object.fromEntries(Object.entries(special).filter(([, token]) => idOf(token) !== undefined)),
    ...config,
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  writeFileSync(join(to, TOKENIZER_CONFIG), `${JSON.stringify(named, null, 2)}\n`);
}

/** What transformers takes for special without being told, in a vocabulary of BERT's: words of the same spelling in others' mean what they mean there. */
const BERT_TOKENS = {
  cls_token: "[CLS]",
  mask_token: "[MASK]",
  pad_token: "[PAD]",
  sep_token: "[SEP]",
  unk_token: "[UNK]",
};

async function known(folder: string): Promise<{ idOf(token: string): number | undefined }> {
  const tokenizer = await asInput(() => loadTokenizer(folder));
  return { idOf: (token) => tokenizer.idOf(token) };
}
