/** Runs whose tokenizers make other ids of a text must not pass for one another. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { tokenizerIdentity } from "../src/data/word-piece.ts";

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
