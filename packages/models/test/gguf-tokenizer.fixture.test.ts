/** Tokenizers out of GGUF files against SentencePiece and `tokenizers`. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromBytes } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import {
  GgufFile,
  ggufTokenizer,
  loadTokenizer,
  parseTokenizer,
  type GgufMetadata,
  type GgufTokenizer,
  type Tokenizer,
} from "../src/index.ts";
import { rows } from "./tokenizer-fixtures.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf",
);
const present = existsSync(join(folder, "manifest.json"));
const open = (name: string): Promise<GgufFile> => GgufFile.open(fromBytes(readFileSync(join(folder, name))));

function withoutSpecial({ tokenizer }: GgufTokenizer): Tokenizer {
  const added = tokenizer["added_tokens"] as { readonly special: boolean }[];
  return parseTokenizer({ ...tokenizer, added_tokens: added.filter(({ special }) => !special) });
}

describe.skipIf(!present)("tokenizers of GGUF files", () => {
  it("llama-mixed: ids and texts of SentencePiece", async () => {
    interface Case {
      readonly text: string;
      readonly ids: number[];
      readonly decoded_without_bos: string;
    }
    const { tokenizer: cases } = JSON.parse(readFileSync(join(folder, "llama-mixed.json"), "utf8")) as {
      tokenizer: Case[];
    };
    const tokenizer = await loadTokenizer(join(folder, "llama-mixed.gguf"));
    // SentencePiece spells control pieces out where they stand in a text, transformers takes them for what they say
    const spelling = withoutSpecial(ggufTokenizer(await open("llama-mixed.gguf")));
    for (const { text, ids, decoded_without_bos } of cases) {
      expect(spelling.encode(text).ids, text).toEqual(ids);
      if (!/<\/?\w+>/.test(text)) expect(tokenizer.encode(text).ids, text).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(decoded_without_bos);
    }
  });

  it("bpe-tokenizer: ids of tokenizers, and the chat template", async () => {
    const { tokenizer, config } = ggufTokenizer(await open("bpe-tokenizer.gguf"));
    const built = parseTokenizer(tokenizer, config);
    expect(config["chat_template"]).toMatch(/^\{\{ bos_token \}\}/);
    expect(config["bos_token"]).toBe("<|begin_of_text|>");
    const texts = rows<{ text: string } | string>("texts").map((t) => (typeof t === "string" ? t : t.text));
    for (const { i, special, ids } of rows<{ i: number; special: boolean; ids: number[] }>("encode.llama3"))
      expect(built.encode(texts[i]!, { specialTokens: special }).ids, texts[i]).toEqual(ids);
  });

  it("says what is missing, contradicts itself or is not built", async () => {
    const file = await open("llama-mixed.gguf");
    const but = (change: Record<string, unknown>): GgufMetadata => ({
      keys: file.keys,
      value: (key) => (key in change ? (change[key] as never) : file.value(key)),
    });
    const refuses = (change: Record<string, unknown>, message: RegExp): void => {
      expect(() => ggufTokenizer(but(change))).toThrow(message);
    };
    refuses({ "tokenizer.ggml.model": undefined }, /"tokenizer.ggml.model" is missing/);
    refuses({ "tokenizer.ggml.model": "rwkv" }, /kind "rwkv" is not built/);
    refuses(
      { "tokenizer.ggml.tokens": ["a", "a"], "tokenizer.ggml.token_type": undefined },
      /"a" has two ids, 0 and 1/,
    );
    refuses({ "tokenizer.ggml.scores": new Float32Array(3) }, /has 3 values for 512 tokens/);
    refuses({ "tokenizer.ggml.bos_token_id": 512 }, /there is no token 512/);
    refuses({ "tokenizer.ggml.model": "gpt2" }, /"tokenizer.ggml.merges" is missing/);
    refuses(
      { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": [], "tokenizer.ggml.pre": "x" },
      /"x", which is not built/,
    );
  });
});
