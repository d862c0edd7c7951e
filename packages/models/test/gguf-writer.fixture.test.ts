/** gguf-py's own files, written again: the same bytes. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromBytes } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { GgufFile, writeGguf, type GgufTensorEntry, type GgufTyped } from "../src/index.ts";
import { written } from "./written-bytes.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "gguf",
);

/** Everything of a file, as it is written. */
async function again(file: GgufFile): Promise<Uint8Array> {
  const metadata = new Map<string, GgufTyped>(file.keys.map((key) => [key, file.typed(key)!]));
  const tensors = new Map<string, GgufTensorEntry>(
    file.names.map((name) => {
      const { dtype: type, shape } = file.info(name);
      return [name, { type, shape, write: async (sink) => sink(await file.range(name)) }];
    }),
  );
  return written((sink) => writeGguf(sink, metadata, tensors));
}

describe.skipIf(!existsSync(join(folder, "manifest.json")))("GGUF fixtures", () => {
  it.each(["kinds-le-v3.gguf", "llama-mixed.gguf", "quants.gguf", "quants-optional.gguf", "bpe-tokenizer.gguf"])(
    "%s is written to the byte",
    async (name) => {
      const bytes = Uint8Array.from(readFileSync(join(folder, name)));
      const got = await again(await GgufFile.open(fromBytes(bytes)));
      expect(got.subarray(0, bytes.length).findIndex((byte, i) => byte !== bytes[i])).toBe(-1);
      // not all files of theirs are padded behind the last tensor
      const behind = got.subarray(bytes.length);
      expect([behind.length < 32, behind.every((byte) => byte === 0)]).toEqual([true, true]);
    },
  );
});
