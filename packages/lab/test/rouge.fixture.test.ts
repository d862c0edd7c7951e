/** ROUGE-L against rouge_score 0.1.2. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rougeL, rougeLOf } from "../src/metrics/rouge-l.ts";

type Three = readonly [precision: number, recall: number, f1: number];
interface Recorded {
  readonly cases: readonly { target: string; prediction: string; plain: { rougeL: Three } }[];
  readonly multi: readonly { targets: readonly string[]; prediction: string; plain: { rougeL: Three } }[];
}

const file = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "metrics"),
  "rouge.json.gz",
);
const present = existsSync(file);
const { cases, multi }: Recorded = present
  ? (JSON.parse(gunzipSync(readFileSync(file)).toString("utf8")) as Recorded)
  : { cases: [], multi: [] };
const value = (predicted: readonly string[], answers: readonly (readonly string[])[]): number =>
  rougeL.value(rougeL.update(undefined, { predicted, answers }));

describe("ROUGE-L", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.skipIf(!present)("is rouge_score's, of one target and of the best of several", () => {
    expect(cases.length).toBeGreaterThan(60);
    for (const { target, prediction, plain } of cases) {
      const { precision, recall, f1 } = rougeLOf(target, prediction);
      [precision, recall, f1].forEach((got, i) => expect(Math.abs(got - plain.rougeL[i]!)).toBeLessThan(1e-12));
    }
    for (const { targets, prediction, plain } of multi)
      expect(Math.abs(value([prediction], [targets]) - plain.rougeL[2])).toBeLessThan(1e-12);
    const mean = cases.reduce((sum, { plain }) => sum + plain.rougeL[2], 0) / cases.length;
    const all = value(
      cases.map(({ prediction }) => prediction),
      cases.map(({ target }) => [target]),
    );
    expect(Math.abs(all - mean)).toBeLessThan(1e-12);
  });

  it("counts the longest row of words that both have in order", () => {
    const words = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 7 });
    fc.assert(
      fc.property(words, words, (target, prediction) => {
        // every subsequence of the one, tried in the other
        const inOrder = (part: readonly string[]): boolean => {
          let at = 0;
          for (const word of prediction) if (word === part[at]) at++;
          return at === part.length;
        };
        let longest = 0;
        for (let chosen = 0; chosen < 2 ** target.length; chosen++) {
          const part = target.filter((_, i) => ((chosen >> i) & 1) === 1);
          if (part.length > longest && inOrder(part)) longest = part.length;
        }
        const { precision, recall } = rougeLOf(target.join(" "), prediction.join("-"));
        expect(Math.round(precision * prediction.length)).toBe(longest);
        expect(Math.round(recall * target.length)).toBe(longest);
      }),
    );
  });
});
