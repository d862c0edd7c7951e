/** Classification metrics against scikit-learn 1.9.1 (`zero_division=0`). */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { metricsOf } from "./metrics-of.ts";

interface Case {
  readonly name: string;
  readonly gold: readonly number[];
  readonly pred: readonly number[];
  readonly expected: {
    readonly accuracy: number;
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
    const macro = metricsOf(pred, gold, classes);
    expect(macro["accuracy"]).toBeCloseTo(expected.accuracy, 12);
    expect(macro["f1"]).toBeCloseTo(expected.macro.f1!, 12);
    expect(macro["f1Classes"]).toEqual(expected.per_class.labels);
    if ([...gold, ...pred].every((label) => label < 2) && expected.binary.f1 !== undefined)
      expect(metricsOf(pred, gold, 2)["f1"]).toBeCloseTo(expected.binary.f1, 12);
  });
});
