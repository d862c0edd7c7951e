/** Gemma 3 270M over 512 tokens of WikiText (LOWRANK_GEMMA3 is the file's path), in a process of its own: each token's −log p, last logits, memory. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const path = process.env["LOWRANK_GEMMA3"] ?? "";
const reference = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures"),
  "gguf/gemma3-270m/model-reference.json",
);

describe.skipIf(!existsSync(path) || !existsSync(reference))("Gemma 3 270M", () => {
  it("has transformers' −log p of 511 tokens and no more than 700 MB in memory", () => {
    const { wikitext2, tolerances } = JSON.parse(readFileSync(reference, "utf8")) as {
      wikitext2: { ids: number[]; nll: number[] };
      tolerances: { logprob_abs: number; nll_mean_abs: number };
    };
    const ids = wikitext2.ids.slice(0, 513);
    const child = fileURLToPath(new URL("gemma3-nll.main.ts", import.meta.url));
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", "--conditions", "@lowrank/source", child, path],
      { encoding: "utf8", input: JSON.stringify(ids), maxBuffer: 1 << 28 },
    );
    expect(status, stderr).toBe(0);
    const { nll, next, peakRss, startRss } = JSON.parse(stdout) as {
      nll: number[];
      next: number;
      peakRss: number;
      startRss: number;
    };
    expect(nll.length).toBe(511);
    for (const [i, got] of nll.entries())
      expect(Math.abs(got - wikitext2.nll[i]!), `token ${i + 1}`).toBeLessThan(tolerances.logprob_abs);
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(Math.abs(mean(nll) - mean(wikitext2.nll.slice(0, 511)))).toBeLessThan(tolerances.nll_mean_abs);
    // what comes after the last of them is the 513th
    expect(Math.abs(next - wikitext2.nll[511]!)).toBeLessThan(tolerances.logprob_abs);
    // what stripping types takes before the program's first line is not the program's
    expect(peakRss - Math.max(0, startRss - 70e6)).toBeLessThan(700e6);
  }, 600_000);
});
