/** Runs whose tokenizers make other ids of a text must not pass for one another. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { copyTokenizer, tokenizerIdentity } from "../src/data/word-piece.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-identity-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("changes with every file that tokens are read from", async () => {
  const seen = new Set<string>();
  for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"])
    for (const content of ["{}", '{ "a": 1 }']) {
      writeFileSync(join(folder, name), content);
      seen.add(await tokenizerIdentity(folder));
    }
  expect(seen.size).toBe(8);
});

it.each([
  [
    "WordPiece",
    { unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100 },
    ["pad_token", "unk_token"],
  ],
  ["BPE", { merges: [] }, []],
] as const)(
  "a copy of a %s tokenizer without a class has the special tokens that it had",
  async (type, more, tokens) => {
    const [from, to] = [join(folder, type), join(folder, `${type}-copy`)];
    for (const path of [from, to]) mkdirSync(path);
    const model = { type, vocab: { "[PAD]": 0, "[UNK]": 1, a: 2 }, ...more };
    writeFileSync(join(from, "tokenizer.json"), JSON.stringify({ version: "1.0", added_tokens: [], model }));
    await copyTokenizer(from, to);
    const config = JSON.parse(readFileSync(join(to, "tokenizer_config.json"), "utf8")) as object;
    expect(Object.keys(config).sort()).toEqual([...tokens, "tokenizer_class"].sort());
  },
);
