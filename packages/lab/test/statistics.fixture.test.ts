/** Statistics against scipy 1.17.1 and statsmodels 0.15.0. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { holm, pairedDifference } from "../src/statistics/paired.ts";
import { tCritical, tTwoSided } from "../src/statistics/student-t.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "statistics",
);
const present = existsSync(folder);
const read = <T>(file: string): T => JSON.parse(readFileSync(join(folder, file), "utf8")) as T;
const close = (got: number, wanted: number): void =>
  expect(Math.abs(got - wanted)).toBeLessThanOrEqual(1e-9 * Math.abs(wanted) + 1e-300);

describe("statistics, scipy", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.runIf(present)("tails and quantiles of Student's t", () => {
    const { t_cdf: cdf, t_ppf: ppf } = read<{ t_cdf: [number, number, number][]; t_ppf: [number, number, number][] }>(
      "special.json",
    );
    // above 0 the file's own value has lost the digits of the tail
    for (const [t, df, p] of cdf) {
      if (t < 0) close(tTwoSided(t, df) / 2, p);
      else expect(1 - tTwoSided(t, df) / 2).toBeCloseTo(p, 12);
    }
    for (const [p, df, t] of ppf) if (p < 0.5) close(-tCritical(2 * p, df), t);
  });

  it.runIf(present)("the paired t test and its interval", () => {
    interface Case {
      name: string;
      x: number[];
      y: number[];
      expected: {
        mean_diff: number;
        sd_diff: number | "undefined";
        p_two_sided: number | string;
        ci95: [number, number] | "undefined";
      };
    }
    for (const { x, y, expected } of read<{ cases: Case[] }>("paired.json").cases) {
      const difference = pairedDifference(x, y);
      expect(difference.mean).toBeCloseTo(expected.mean_diff, 9);
      if (x.length < 3) expect(difference.p).toBeUndefined();
      else if (typeof expected.p_two_sided === "number" && difference.p !== undefined) {
        close(difference.p, expected.p_two_sided);
        difference
          .interval(0.95)!
          .forEach((bound, i) => expect(bound).toBeCloseTo((expected.ci95 as [number, number])[i]!, 9));
      } else expect(difference.p).toBeUndefined();
    }
  });

  it.runIf(present)("Holm's adjusted p-values", () => {
    for (const { p, holm: wanted } of read<{ cases: { p: number[]; holm: number[] }[] }>("multiple.json").cases)
      holm(p).forEach((value, i) => close(value, wanted[i]!));
  });
});
