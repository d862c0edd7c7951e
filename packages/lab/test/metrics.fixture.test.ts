/** Classification metrics against scikit-learn 1.9.1 (`zero_division=0`). */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { metrics } from "../src/metrics/registry.ts";
import type { NumberItems } from "../src/records/metric.ts";
import { metricsOf } from "./metrics-of.ts";

interface Case {
  readonly name: string;
  readonly gold: readonly number[];
  readonly pred: readonly number[];
  readonly expected: {
    readonly accuracy: number;
    readonly matthews: number;
    readonly binary: { readonly f1?: number };
    readonly macro: { readonly f1?: number };
    readonly per_class: { readonly labels?: readonly number[] };
  };
}

const file = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "metrics"),
  "classification.json",
);
const present = existsSync(file);
const cases = present
  ? (JSON.parse(readFileSync(file, "utf8")) as { cases: Case[] }).cases.filter(
      ({ gold, pred }) => gold.length > 0 && gold.length === pred.length,
    )
  : [];

describe("classification metrics, scikit-learn", () => {
  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(cases)("$name", ({ gold, pred, expected }) => {
    // two classes more than there are: what never occurs must not count
    const classes = Math.max(...gold, ...pred) + 3;
    const macro = metricsOf(pred, gold, classes, ["accuracy", "f1", "matthews"]);
    expect(macro["accuracy"]).toBeCloseTo(expected.accuracy, 12);
    expect(macro["matthews"]).toBeCloseTo(expected.matthews, 12);
    expect(macro["f1"]).toBeCloseTo(expected.macro.f1!, 12);
    expect(macro["f1Classes"]).toEqual(expected.per_class.labels);
    if ([...gold, ...pred].every((label) => label < 2) && expected.binary.f1 !== undefined)
      expect(metricsOf(pred, gold, 2)["f1"]).toBeCloseTo(expected.binary.f1, 12);
  });
});

/** JSON has no such numbers. */
const special = (value: unknown): number => Number(value);

interface Correlation {
  readonly name: string;
  readonly x: readonly unknown[];
  readonly y: readonly unknown[];
  readonly expected: Readonly<Record<"pearson" | "spearman", { readonly r?: unknown }>>;
}

const correlations = present
  ? (JSON.parse(readFileSync(file, "utf8")) as { correlation: Correlation[] }).correlation.filter(
      ({ x, y }) => x.length === y.length,
    )
  : [];

describe("correlations, scipy", () => {
  it.for(correlations)("$name", ({ x, y, expected }) => {
    for (const name of ["pearson", "spearman"] as const) {
      const metric = metrics.get(name);
      // in two pieces: the count is over all of them
      const items = (from: number, to: number): NumberItems => ({
        predicted: x.slice(from, to).map(special),
        actual: y.slice(from, to).map(special),
      });
      const value = metric.value(metric.update(metric.update(undefined, items(0, 1)), items(1, x.length)));
      const wanted = expected[name].r === undefined ? Number.NaN : special(expected[name].r);
      if (Number.isNaN(wanted)) expect(value).toBeNaN();
      else expect(value).toBeCloseTo(wanted, 12);
    }
  });
});
