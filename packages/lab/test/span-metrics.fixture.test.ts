/** Entities against seqeval 1.2.2 (default mode), answers against SQuAD's scripts. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { answerOverlap, exactMatch, normalizedAnswer } from "../src/data/answer-text.ts";
import { entitiesOf } from "../src/data/iob.ts";
import { metrics } from "../src/metrics/registry.ts";
import { measured, type Metric } from "../src/records/metric.ts";

interface Report {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly report: Readonly<Record<string, { precision: number; recall: number; "f1-score": number; support: number }>>;
}
interface TagCase {
  readonly name: string;
  readonly gold: readonly (readonly string[])[];
  readonly pred: readonly (readonly string[])[];
  readonly expected: { readonly default: Report };
  readonly default_entities_gold: readonly [string, number, number][];
}
interface AnswerCase {
  readonly prediction: string;
  readonly answers: readonly string[];
  readonly normalised: string;
  readonly exact: number;
  readonly f1_v2: number;
}

const folder = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures"),
  "metrics",
);
const present = existsSync(folder);
function read<T>(name: string, empty: T): T {
  if (!present) return empty;
  const bytes = readFileSync(join(folder, name));
  return JSON.parse((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")) as T;
}

/** All rows at once, and in two halves: a count is over items, never over batches. */
function measuredBy(names: readonly string[], ...batches: readonly object[]): Record<string, unknown> {
  const wanted = names.map((name): Metric => metrics.get(name));
  const counts = new Map(
    wanted.map((metric) => [metric, batches.reduce<unknown>((count, items) => metric.update(count, items), undefined)]),
  );
  return measured(wanted, counts);
}

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

const { cases } = read<{ cases: TagCase[] }>("ner-cases.json", { cases: [] });
/** Without rows seqeval refuses. Rows of unequal length are an error of ours before a metric sees them; E- and S- are no tags of IOB2. */
const usable = cases.filter(
  ({ gold, pred }) =>
    gold.length > 0 &&
    gold.length === pred.length &&
    gold.every((row, i) => row.length === pred[i]!.length) &&
    ![...gold, ...pred].flat().some((tag) => /^[ES]/.test(tag)),
);

function expectReport(found: Record<string, unknown>, wanted: Report): void {
  expect(found["entity-f1"]).toBeCloseTo(wanted.f1, 12);
  expect(found["entityPrecision"]).toBeCloseTo(wanted.precision, 12);
  expect(found["entityRecall"]).toBeCloseTo(wanted.recall, 12);
  const types = found["entities"] as Record<string, { precision: number; recall: number; f1: number; support: number }>;
  for (const [type, row] of Object.entries(wanted.report)) {
    if (type.endsWith(" avg")) continue;
    expect(types[type]!.precision).toBeCloseTo(row.precision, 12);
    expect(types[type]!.recall).toBeCloseTo(row.recall, 12);
    expect(types[type]!.f1).toBeCloseTo(row["f1-score"], 12);
    expect(types[type]!.support).toBe(row.support);
  }
}

describe("entities, seqeval", () => {
  it("has most of the small cases", () => {
    if (present) expect(usable.length).toBeGreaterThanOrEqual(20);
  });

  it.for(usable)("$name", ({ gold, pred, expected, default_entities_gold: entities }) => {
    expectReport(measuredBy(["entity-f1"], { gold, predicted: pred }), expected.default);
    // recorded over all rows, with an O between
    const joined = gold.flatMap((row) => [...row, "O"]);
    expect(entitiesOf(joined).map(({ type, first, last }) => [type, first, last])).toEqual(entities);
  });

  it.runIf(present)("WNUT-17's dev file and three noisy predictions", () => {
    const { gold, sets } = read<{ gold: string[]; sets: { pred: string[]; expected: { default: Report } }[] }>(
      "ner-wnut17.json.gz",
      { gold: [], sets: [] },
    );
    const rows = (texts: readonly string[]): string[][] => texts.map((text) => text.split(" "));
    expect(sets).toHaveLength(3);
    for (const { pred, expected } of sets) {
      const [all, guess] = [rows(gold), rows(pred)];
      const half = all.length >> 1;
      expectReport(
        measuredBy(
          ["entity-f1"],
          { gold: all.slice(0, half), predicted: guess.slice(0, half) },
          { gold: all.slice(half), predicted: guess.slice(half) },
        ),
        expected.default,
      );
    }
  });
});

describe("answers, SQuAD", () => {
  const squad = read<{
    cases: AnswerCase[];
    set: { items: AnswerCase[]; exact_match: number; f1: number };
  }>("squad.json", { cases: [], set: { items: [], exact_match: 0, f1: 0 } });

  it.for(squad.cases)("$prediction | $answers", ({ prediction, answers, normalised, exact, f1_v2: f1 }) => {
    expect(normalizedAnswer(prediction)).toBe(normalised);
    expect(exactMatch(prediction, answers)).toBe(exact);
    expect(answerOverlap(prediction, answers)).toBeCloseTo(f1, 12);
  });

  it.runIf(present)("a set, in percent", () => {
    const { items, exact_match: exact, f1 } = squad.set;
    const part = (of: readonly AnswerCase[]): object => ({
      predicted: of.map(({ prediction }) => prediction),
      answers: of.map(({ answers }) => answers),
    });
    const found = measuredBy(["exact-match", "answer-f1"], part(items.slice(0, 100)), part(items.slice(100)));
    expect(100 * (found["exact-match"] as number)).toBeCloseTo(exact, 10);
    expect(100 * (found["answer-f1"] as number)).toBeCloseTo(f1, 10);
  });
});
