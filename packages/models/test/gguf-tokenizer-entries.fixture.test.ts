/** Tokenizers of Hugging Face's files, written into a GGUF file and read from it: the same ids of the same texts. What no file can say is refused. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { fromBytes, LowrankError } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import {
  GgufFile,
  ggufTokenizer,
  metaModel,
  parseTokenizer,
  saveGguf,
  type GgufMetadata,
  type TokenizerFolder,
} from "../src/index.ts";
import { tokenizerEntries } from "../src/gguf/tokenizer-entries.ts";
import { writeGguf } from "../src/gguf/writer.ts";
import { written } from "./written-bytes.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "tokenizers",
);

type Json = Record<string, any>;
const file = (name: string): Json => JSON.parse(readFileSync(join(folder, `${name}.tokenizer.json`), "utf8")) as Json;
const texts = (): string[] =>
  gunzipSync(readFileSync(join(folder, "texts.jsonl.gz")))
    .toString()
    .trim()
    .split("\n")
    .map((line) => {
      const value = JSON.parse(line) as string | { text: string };
      return typeof value === "string" ? value : value.text;
    });
const countOf = ({ model, added_tokens: added }: Json): number =>
  1 + Math.max(...Object.values<number>(model["vocab"]), ...(added as { id: number }[]).map(({ id }) => id));

async function read(tokenizer: Json, words: number, model: Json = {}): Promise<GgufMetadata> {
  const entries = tokenizerEntries({ tokenizer, config: {}, source: "tokenizer.json" }, words, model);
  return GgufFile.open(fromBytes(await written((sink) => writeGguf(sink, new Map(entries), new Map()))));
}

describe.skipIf(!existsSync(join(folder, "manifest.json")))("tokenizers", () => {
  it.each(["llama3", "qwen"])("%s has the same ids", async (name) => {
    const tokenizer = file(name);
    const before = parseTokenizer(tokenizer);
    // three words more than there are tokens
    const { tokenizer: made, config } = ggufTokenizer(await read(tokenizer, countOf(tokenizer) + 3));
    const after = parseTokenizer(made, config);
    const all = texts();
    expect(all.length).toBeGreaterThan(50);
    const differ = all.filter((text) => before.encode(text).ids.join() !== after.encode(text).ids.join());
    expect(differ).toEqual([]);
  });

  it.each<[string, string, (file: Json) => void]>([
    ["unigram", "model is Unigram", () => {}],
    ["llama3", "pre-tokenizer cuts by", (f) => (f["pre_tokenizer"].pretokenizers[0].behavior = "Removed")],
    ["llama3", "together are none of llama.cpp's", (f) => (f["model"].ignore_merges = !f["model"].ignore_merges)],
    ["llama3", "ByteLevel has add_prefix_space", (f) => (f["pre_tokenizer"].pretokenizers[1].add_prefix_space = true)],
    // made by merges alone, of which SentencePiece would have more
    ["llama-legacy", "merges are not those of a SentencePiece model", () => {}],
    ["llama-metaspace", "merges are not those of a SentencePiece model", () => {}],
    ["llama-legacy", "normalizer is", (f) => f["normalizer"].normalizers.push({ type: "NFC" })],
    ["llama-legacy", "at two places of their order", (f) => f["model"].merges.push(f["model"].merges[0])],
  ])("%s is refused: %s", (name, message, change) => {
    const tokenizer = structuredClone(file(name));
    change(tokenizer);
    const error = (() => {
      try {
        return tokenizerEntries({ tokenizer, config: {}, source: "tokenizer.json" }, countOf(tokenizer), {});
      } catch (e) {
        return e;
      }
    })();
    expect(error).toBeInstanceOf(LowrankError);
    expect((error as LowrankError).message).toContain(message);
  });

  it("belongs to the model: more tokens than words are another model's", () => {
    const tokenizer = file("qwen");
    const model = metaModel("Qwen2ForCausalLM", {
      model_type: "qwen2",
      vocab_size: 7,
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      num_key_value_heads: 1,
      intermediate_size: 8,
    });
    return expect(saveGguf(model, () => {}, { tokenizer: { tokenizer, config: {}, source: "x" } })).rejects.toThrow(
      "the model 7 words; this is another model's tokenizer",
    );
  });

  it("of SentencePiece come back as they were, from scores that were made of their merges", async () => {
    const gguf = readFileSync(join(folder, "../gguf/llama-mixed.gguf"));
    const original = await GgufFile.open(fromBytes(Uint8Array.from(gguf)));
    const { tokenizer, config } = ggufTokenizer(original);
    const source = { tokenizer, config: config as TokenizerFolder["config"], source: "tokenizer.json" };
    const model = { eos_token_id: [2, 1], pad_token_id: null };
    const entries = new Map(tokenizerEntries(source, countOf(tokenizer), model));
    const file = await GgufFile.open(fromBytes(await written((sink) => writeGguf(sink, entries, new Map()))));
    expect(ggufTokenizer(file)).toEqual({ tokenizer, config });
    for (const key of original.keys.filter((k) => k.startsWith("tokenizer.") && !k.endsWith(".scores")))
      expect([key, file.value(key)]).toEqual([key, original.value(key)]);
    // more merges or fewer are other tokens
    for (const change of [(m: Json[]) => m.slice(1), (m: Json[]) => [...m, m[0]!]]) {
      const other = structuredClone(source) as { tokenizer: Json } & typeof source;
      other.tokenizer["model"].merges = change(other.tokenizer["model"].merges);
      expect(() => tokenizerEntries(other, countOf(tokenizer), model)).toThrow(/the tokenizer's merges/);
    }
  });
});
