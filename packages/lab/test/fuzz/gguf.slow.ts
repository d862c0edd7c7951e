/** Thirty thousand damaged GGUF files, each in the time and memory that its size allows. */
import { expect, it } from "vitest";
import { ggufFile } from "./gguf.ts";
import { fuzz } from "./judge.ts";

const seed = Number(process.env["LOWRANK_SEED"] ?? 20261127);

it("30,000 damaged headers are refused with one line or read as what they say, in 2 s and 16 MB + 4 times the file", async () => {
  // code and heap of the process itself
  await fuzz([ggufFile], { seed: seed + 1, count: 2000 });
  const { findings, tallies } = await fuzz([ggufFile], { seed, count: 30_000 });
  expect(findings).toEqual([]);
  const [tally] = tallies;
  console.log(tally);
  expect(tally!.taken).toBeGreaterThan(1000);
  expect(tally!.refused).toBeGreaterThan(1000);
  expect(tally!.slowest).toBeLessThan(2000);
  // peak resident growth during one input, its judging included; files are about 2 KB
  expect(tally!.bytes).toBeLessThan(16 * 2 ** 20 + 4 * 2 ** 11);
}, 600_000);
