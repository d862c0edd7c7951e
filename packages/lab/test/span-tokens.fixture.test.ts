/** Words that are given one by one are read as the text that they make, whatever a tokenizer does with spaces. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseTokenizer } from "@lowrank/models";
import { describe, expect, it } from "vitest";
import { taggedParts } from "../src/data/tagged-words.ts";

const folder = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures"),
  "tokenizers",
);
const present = existsSync(folder);
const files = present ? readdirSync(folder).filter((name) => name.endsWith(".tokenizer.json")) : [];
const words = ["Hello", "world", "now", "it's", "naïve", "in", "1984"];

describe("words given one by one", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });
  it.runIf(present)("has byte-level, metaspace and unigram tokenizers", () => {
    expect(files.length).toBeGreaterThanOrEqual(6);
  });

  it.each(files)("%s", (name) => {
    const tokenizer = parseTokenizer(JSON.parse(readFileSync(join(folder, name), "utf8")));
    const [part, ...more] = taggedParts(tokenizer, [words], 200, () => "row");
    expect(more).toEqual([]);
    expect(part!.ids).toEqual(tokenizer.encode(words.join(" ")).ids);
    expect(part!.words.map(({ word }) => word)).toEqual([...words.keys()]);
  });
});
