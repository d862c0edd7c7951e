/** Tests, intervals, effect sizes and power against scipy 1.17.1, statsmodels 0.15.0 and exact enumeration. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { bootstrap } from "../src/statistics/bootstrap.ts";
import { mean, quantile, standardDeviation } from "../src/statistics/descriptive.ts";
import { effectSize } from "../src/statistics/effect-size.ts";
import { mcnemar } from "../src/statistics/mcnemar.ts";
import { chiSquareTail, normalCdf, normalQuantile } from "../src/statistics/normal.ts";
import { pairedPower, smallestDz } from "../src/statistics/power.ts";
import { wilson } from "../src/statistics/proportion.ts";
import { signFlip } from "../src/statistics/sign-flip.ts";
import { logGamma } from "../src/statistics/special.ts";
import { wilcoxon } from "../src/statistics/wilcoxon.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "statistics",
);
const present = existsSync(folder);
const read = <T>(file: string): T => JSON.parse(readFileSync(join(folder, file), "utf8")) as T;
const close = (got: number | undefined, wanted: number, relative = 1e-9): void =>
  expect(Math.abs(got! - wanted), `${got} for ${wanted}`).toBeLessThanOrEqual(relative * Math.abs(wanted) + 1e-14);
type Maybe<T> = T | "undefined";

describe.runIf(present)("statistics of a study, scipy", () => {
  it("normal, χ², log Γ", () => {
    type Row = readonly number[];
    const special = read<Record<"norm_cdf" | "norm_ppf" | "chi2_sf" | "gammaln", Row[]>>("special.json");
    for (const [z, p] of special.norm_cdf) {
      // the smaller tail has all its digits, down to where doubles end
      expect(Math.abs(normalCdf(z!) - p!)).toBeLessThanOrEqual(1e-9 * p! + 1e-300);
    }
    for (const [p, z] of special.norm_ppf) close(normalQuantile(p!), z!);
    for (const [x, df, p] of special.chi2_sf) close(chiSquareTail(x!, df!), p!);
    for (const [x, value] of special.gammaln) close(logGamma(x!), value!);
  });

  it("mean, deviation, quantiles", () => {
    interface Case {
      readonly x: number[];
      readonly mean: number;
      readonly sd: Maybe<number>;
      readonly quantiles: Readonly<Record<string, number>>;
    }
    for (const { x, mean: m, sd, quantiles } of read<{ cases: Case[] }>("descriptive.json").cases) {
      close(mean(x), m, 1e-12);
      if (sd === "undefined") expect(standardDeviation(x)).toBeUndefined();
      else close(standardDeviation(x), sd, 1e-6);
      for (const [q, value] of Object.entries(quantiles)) close(quantile(x, Number(q)), value, 1e-12);
    }
  });

  interface Paired {
    readonly name: string;
    readonly x: number[];
    readonly y: number[];
    readonly expected: {
      readonly n: number;
      readonly mean_diff: number;
      readonly sd_diff: Maybe<number>;
      readonly d_z: number | string;
      readonly hedges_g_z: number | string;
      readonly sign_flip: { two_sided: number; greater: number; less: number; smallest_possible_two_sided: number };
      readonly wilcoxon: Maybe<{
        n: number;
        zeros: number;
        W_plus: number;
        W_minus: number;
        exact_permutation_of_midranks?: { greater: number; less: number; two_sided: number };
      }>;
    };
  }
  const paired = present ? read<{ cases: Paired[] }>("paired.json").cases : [];

  it.each(paired)("paired differences: $name", ({ x, y, expected }) => {
    const differences = x.map((value, i) => value - y[i]!);
    const flipped = signFlip(differences);
    if (x.length <= 20) {
      close(flipped?.twoSided, expected.sign_flip.two_sided);
      close(flipped?.greater, expected.sign_flip.greater);
      close(flipped?.less, expected.sign_flip.less);
      close(flipped?.smallestTwoSided, expected.sign_flip.smallest_possible_two_sided);
    } else expect(flipped).toBeUndefined();
    const ranked = wilcoxon(differences);
    const want = expected.wilcoxon;
    if (want === "undefined" || want.n === want.zeros) expect(ranked).toBeUndefined();
    else {
      expect(ranked).toMatchObject({
        n: want.n - want.zeros,
        zeros: want.zeros,
        plus: want.W_plus,
        minus: want.W_minus,
      });
      const exact = want.exact_permutation_of_midranks;
      if (exact !== undefined) {
        close(ranked!.twoSided, exact.two_sided);
        close(ranked!.greater, exact.greater);
        close(ranked!.less, exact.less);
      }
    }
    if (typeof expected.d_z === "number" && typeof expected.sd_diff === "number" && expected.sd_diff > 0) {
      const { dz, gz } = effectSize(expected.mean_diff, expected.sd_diff, expected.n);
      close(dz, expected.d_z);
      if (typeof expected.hedges_g_z === "number") close(gz, expected.hedges_g_z);
      else expect(gz).toBeUndefined();
    }
  });

  it("McNemar, exact and mid-p", () => {
    const { cases } = read<{ cases: { b: number; c: number; exact_p: number; mid_p: number }[] }>("mcnemar.json");
    for (const { b, c, exact_p: exact, mid_p: midP } of cases) {
      close(mcnemar(b, c).exact, exact, 1e-10);
      close(mcnemar(b, c).midP, midP, 1e-10);
    }
  });

  it("bootstrap intervals, on the resamples given", () => {
    interface Case {
      readonly name: string;
      readonly x: number[];
      readonly statistic: "mean" | "median";
      readonly confidence: number;
      readonly indices?: number[][];
      readonly expected: Readonly<Record<"percentile" | "bca", Maybe<[number, number]>>>;
    }
    const { cases, loose } = read<{ cases: Case[]; loose: { cases: (Case & Case["expected"] & { sd: number })[] } }>(
      "bootstrap.json",
    );
    let indices: number[][] = [];
    for (const one of cases) {
      indices = one.indices ?? indices;
      const statistic = one.statistic === "mean" ? mean : (x: readonly number[]): number => quantile(x, 0.5);
      const got = bootstrap(one.x, one.confidence, indices, statistic);
      for (const kind of ["percentile", "bca"] as const) {
        const want = one.expected[kind];
        if (want === "undefined") expect(got?.[kind]).toBeUndefined();
        else if (one.x.length > 1) want.forEach((limit, i) => close(got![kind]![i], limit, 1e-10));
      }
    }
    for (const { x, confidence, percentile, bca, sd } of loose.cases) {
      const got = bootstrap(x, confidence)!;
      // ours draws a tenth of the resamples: limits are quantiles whose error falls with the root of their number, so 0.02 sd becomes 0.07
      for (const [mine, want] of [
        [got.percentile, percentile],
        [got.bca!, bca],
      ] as const)
        mine.forEach((limit, i) =>
          expect(Math.abs(limit - (want as [number, number])[i]!)).toBeLessThanOrEqual(0.07 * sd),
        );
    }
  });

  it("power, and the smallest difference that n pairs find", () => {
    interface Power {
      readonly minimal: { n: number; alpha: number; power: number; sides: number; minimal_d_z: Maybe<number> }[];
      readonly power: { n: number; d_z: number; alpha: number; two_sided: Maybe<number> }[];
    }
    const { minimal, power } = read<Power>("power.json");
    for (const { n, alpha, power: wanted, sides, minimal_d_z: dz } of minimal) {
      if (sides !== 2) continue;
      if (dz === "undefined") expect(smallestDz(n, wanted, alpha)).toBeUndefined();
      else close(smallestDz(n, wanted, alpha), dz, 1e-6);
    }
    for (const { n, d_z: dz, alpha, two_sided: p } of power) {
      if (p === "undefined") expect(pairedPower(n, dz, alpha)).toBeUndefined();
      else close(pairedPower(n, dz, alpha), p, 1e-6);
    }
  });

  it("Wilson's interval of a share", () => {
    const { cases } = read<{ cases: { k: number; n: number; confidence: number; wilson: Maybe<[number, number]> }[] }>(
      "proportion.json",
    );
    for (const { k, n, confidence, wilson: want } of cases) {
      if (want === "undefined") expect(wilson(k, n, confidence)).toBeUndefined();
      else wilson(k, n, confidence)!.forEach((limit, i) => close(limit, want[i]!, 1e-10));
    }
  });
});

describe("tests of paired differences", () => {
  const differences = fc.array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 10 });

  test.prop([differences])("say the same of the mirror image", (d) => {
    const mirrored = d.map((value) => -value);
    expect(signFlip(mirrored)).toMatchObject({ twoSided: signFlip(d)!.twoSided, greater: signFlip(d)!.less });
    const [one, other] = [wilcoxon(d), wilcoxon(mirrored)];
    expect(other?.twoSided).toBe(one?.twoSided);
    expect(other?.greater).toBe(one?.less);
  });

  test.prop([differences])("never say less than their smallest p", (d) => {
    const { twoSided, smallestTwoSided } = signFlip(d)!;
    expect(twoSided).toBeGreaterThanOrEqual(smallestTwoSided);
    expect(twoSided).toBeLessThanOrEqual(1);
  });
});
