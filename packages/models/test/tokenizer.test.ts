/** WordPiece through tokenizer.json: ids that bert-base-uncased is known to give. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { loadTokenizer } from "../src/index.ts";

const folder = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? "../shared/data", "bert-base-uncased-tokenizer");

it("tokenises as bert-base-uncased does", async ({ skip }) => {
  if (!existsSync(folder)) return skip(`no tokenizer at ${folder}; set LOWRANK_DATA`);
  const tokenizer = await loadTokenizer(folder);
  expect(tokenizer.vocabSize).toBe(30522);
  expect(tokenizer.idOf("[MASK]")).toBe(103);
  expect(tokenizer.encode("hello world!").ids).toEqual([101, 7592, 2088, 999, 102]);
  expect(tokenizer.encode("Héllo WORLD!").ids).toEqual([101, 7592, 2088, 999, 102]);
  expect(tokenizer.encode("").ids).toEqual([101, 102]);
  expect(tokenizer.encode("unaffable").ids.length).toBeGreaterThan(3);
  expect(tokenizer.encode("hello world!", { maxLength: 4 }).ids).toEqual([101, 7592, 2088, 102]);
  const pair = tokenizer.encode("hello", { pair: "world" });
  expect(pair.ids).toEqual([101, 7592, 102, 2088, 102]);
  expect(pair.typeIds).toEqual([0, 0, 0, 1, 1]);
  expect(tokenizer.decode([101, 7592, 2088, 999, 102])).toBe("hello world!");
});

it("says when there is no tokenizer", async () => {
  await expect(loadTokenizer("nowhere")).rejects.toThrow(/nowhere: there is no tokenizer.json/);
});
