/** A checkpoint of a small causal model whose tokens are bytes, in a folder of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { metaModel, savePretrained } from "@lowrank/models";
import { init } from "@lowrank/tensor";
import { CAUSAL } from "./causal-toy.ts";

/** Ids below are bytes. */
export const END = 256;

/** GPT-2's spelling of bytes. */
function spelt(byte: number): string {
  const plain = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  const hidden = Array.from({ length: byte }, (_, b) => b).filter((b) => !plain(b)).length;
  return String.fromCodePoint(plain(byte) ? byte : 256 + hidden);
}

export function byteTokenizerFiles(config: object = {}): { readonly tokenizer: object; readonly config: object } {
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [{ id: END, content: "<end>", ...flags }],
      normalizer: null,
      pre_tokenizer: level,
      post_processor: null,
      decoder: level,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [spelt(byte), byte])),
        merges: [],
      },
    },
    config: { eos_token: "<end>", ...config },
  };
}

/** @param positions that it has @param config what tokenizer_config.json has more */
export async function writeCausalFolder(
  folder: string,
  {
    architecture = "GPT2LMHeadModel",
    positions = 64,
    config = {},
  }: {
    readonly architecture?: string;
    readonly positions?: number;
    readonly config?: object;
  } = {},
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const device = await init({ device: "reference" });
  const model = metaModel(architecture, { ...CAUSAL[architecture]!(positions), vocab_size: END + 1 });
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, folder);
  const files = byteTokenizerFiles(config);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(files.tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(files.config));
  device.close();
  return folder;
}
