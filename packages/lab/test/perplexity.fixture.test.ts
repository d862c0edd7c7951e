/** Perplexity, by token and by word, against recorded numbers: exp of the loss over all tokens, however they are cut into batches, and no mean of means. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { perplexity } from "../src/metrics/perplexity.ts";
import { wordPerplexity } from "../src/metrics/word-perplexity.ts";

interface Case {
  readonly name: string;
  readonly nll: readonly (readonly number[])[];
  readonly tokens: number;
  readonly token_perplexity: number | "NaN" | "Infinity";
  readonly words: number;
  readonly word_perplexity: number | "NaN" | "Infinity";
  readonly mean_of_batch_means: number | "NaN" | "Infinity";
}

const file = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "metrics"),
  "perplexity.json",
);
const present = existsSync(file);
const cases = present ? (JSON.parse(readFileSync(file, "utf8")) as { cases: Case[] }).cases : [];

function measured(batches: readonly (readonly number[])[]): number {
  let count: ReturnType<typeof perplexity.update> | undefined;
  for (const batch of batches)
    count = perplexity.update(count, { loss: batch.reduce((a, b) => a + b, 0), counted: batch.length });
  return perplexity.value(count!);
}

describe("perplexity, recorded", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(cases)("$name", ({ nll, tokens, token_perplexity, words, word_perplexity, mean_of_batch_means }) => {
    // a loss that is no number, or infinite, or beyond what exp has; and nothing to count
    if (typeof token_perplexity === "string")
      return expect(measured(nll.map((batch) => batch.map(Number)))).toBe(Number(token_perplexity));
    const all = nll.flat();
    expect(all.length).toBe(tokens);
    for (const batches of [nll, [all], all.map((loss) => [loss])])
      expect(Math.abs(measured(batches) / token_perplexity - 1)).toBeLessThan(1e-12);
    expect(typeof word_perplexity).toBe("number");
    const byWord = wordPerplexity.update(undefined, {
      loss: all.reduce((a, b) => a + b, 0),
      counted: tokens,
      words,
    });
    expect(Math.abs(wordPerplexity.value(byWord) / (word_perplexity as number) - 1)).toBeLessThan(1e-12);
    const means = Math.exp(mean_of_batch_means as number);
    if (new Set(nll.map(({ length }) => length)).size > 1)
      expect(Math.abs(means / token_perplexity - 1)).toBeGreaterThan(1e-6);
  });
});
