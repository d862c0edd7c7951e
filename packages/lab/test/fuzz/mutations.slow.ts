/** Thirty thousand damaged files of each format that a checkpoint comes in, each in the time and memory that its size allows. */
import { expect, it } from "vitest";
import { chatTemplate } from "./chats.ts";
import { ggufFile } from "./gguf.ts";
import { fuzz } from "./judge.ts";
import { safetensorsFile } from "./safetensors.ts";
import { shardIndex } from "./shards.ts";
import { JUDGED, tokenizerConfig, TOKENIZERS } from "./tokenizers.ts";

const seed = Number(process.env["LOWRANK_SEED"] ?? 20261127);
const COUNT = 30_000;
/** The largest damaged file, a tokenizer of 256 bytes, has less. */
const LARGEST_FILE = 2 ** 14;

it.each([ggufFile, safetensorsFile, shardIndex, ...TOKENIZERS, tokenizerConfig, chatTemplate])(
  "30,000 of $name are refused with one line or read as what they say, in 2 s and 16 MB + 4 times the file",
  async (format) => {
    // code and heap of the process itself
    await fuzz([format], { seed: seed + 1, count: 2000 });
    const { findings, tallies } = await fuzz([format], { seed, count: COUNT });
    const [tally] = tallies;
    console.log(tally);
    expect(findings).toEqual([]);
    expect(tally!.taken).toBeGreaterThan(1000);
    expect(tally!.refused).toBeGreaterThan(1000);
    expect(tally!.slowest).toBeLessThan(2000);
    // peak resident growth during one input, its judging included
    expect(tally!.bytes).toBeLessThan(16 * 2 ** 20 + 4 * LARGEST_FILE);
  },
  1_200_000,
);

it("the second reader of tokenizers knew nearly all that was taken", () => {
  expect(JUDGED.known).toBeGreaterThan(20 * JUDGED.unknown);
});
