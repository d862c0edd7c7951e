/**
 * GPT-2's tokenizer as OpenAI released it (`encoder.json`, `vocab.bpe`), in the form of Hugging Face's files: bytes as characters, pairs of them merged in the order
 * of the list, words cut by GPT-2's expression, which `ByteLevel` stands for.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseTokenizer, type Tokenizer } from "@lowrank/models";
import { parseJson } from "@lowrank/tensor/check";
import { asInput, InputError } from "../errors.ts";
import { hashFiles, requireFile } from "./location.ts";
import { readText } from "./read-file.ts";

export interface Gpt2Tokenizer {
  readonly tokenizer: Tokenizer;
  /** Content hash of its files. */
  readonly identity: string;
  /** Puts `tokenizer.json` and `tokenizer_config.json` into a folder. */
  write(folder: string): void;
}

const FOLDER = "gpt2-tokenizer";
/** Ends texts, and begins them. */
const END = "<|endoftext|>";

/** @throws InputError for files that are not there, or hold something else */
export async function loadGpt2Tokenizer(dataFolder: string): Promise<Gpt2Tokenizer> {
  const [words, pairs] = ["encoder.json", "vocab.bpe"].map((name) => requireFile(dataFolder, FOLDER, name)) as [
    string,
    string,
  ];
  const vocab = parseJson(readText(words), words) as Readonly<Record<string, unknown>>;
  const end = vocab[END];
  if (typeof end !== "number")
    throw new InputError(`${words}: has no number for ${END}; GPT-2's encoder.json is needed`);
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id: end, content: END, ...flags }],
    normalizer: null,
    pre_tokenizer: level,
    post_processor: null,
    decoder: level,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      // the first line says the version
      merges: readText(pairs)
        .split(/\r?\n/)
        .filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version"))),
    },
  };
  const config = {
    bos_token: END,
    eos_token: END,
    unk_token: END,
    model_max_length: 1024,
    tokenizer_class: "GPT2TokenizerFast",
  };
  return {
    tokenizer: await asInput(async () => parseTokenizer(json, config, words)),
    identity: hashFiles([words, pairs]),
    write(folder) {
      writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
      writeFileSync(join(folder, "tokenizer_config.json"), `${JSON.stringify(config, null, 2)}\n`);
    },
  };
}
