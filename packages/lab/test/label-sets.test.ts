/** Studies whose rows have several labels, or a number; and what is counted of sets of labels. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stratifiedSplit } from "../src/data/split.ts";
import { labelSetStrata, quantileStrata } from "../src/data/strata.ts";
import { metrics } from "../src/metrics/registry.ts";
import { multiLabel } from "../src/tasks/multi-label.ts";
import { metricsOf } from "./metrics-of.ts";
import { made, toyFolder } from "./row-study.ts";

const data = toyFolder();
let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
  rmSync(data, { recursive: true, force: true });
});

const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");

describe("several labels a row", () => {
  it("trains on lists of labels, empty ones too, and proves its loss", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({
      text: ["a fine film", "dull and long", "good and bad", "a film"][i % 4],
      tags: [["praise"], ["blame", "length"], ["praise", "blame"], []][i % 4],
    }));
    const { outcome, out } = await made(
      { data, device },
      { "train.jsonl": lines(rows), "dev.jsonl": lines(rows.slice(0, 5)) },
      ["task={name: multi-label, train: train.jsonl, validation: dev.jsonl}", "train.microBatch=3"],
    );
    expect(outcome.failures).toEqual([]);
    const [run] = outcome.results;
    expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
    expect(run!.proofs.map(({ name }) => name)).toContain("evaluation-loss-is-task-loss");
    expect(Object.keys(run!.final)).toEqual([
      "step",
      "epoch",
      "loss",
      "f1-micro",
      "f1-macro",
      "subset-accuracy",
      "examples",
    ]);
    const config = JSON.parse(readFileSync(join(out, "runs", run!.name, "base", "config.json"), "utf8")) as object;
    expect(config).toMatchObject({
      problem_type: "multi_label_classification",
      id2label: { 0: "blame", 1: "length", 2: "praise" },
    });
  });

  it("is told where every row is given the same labels", () => {
    const facts = { options: { threshold: 0.5, separator: "," }, labels: ["x", "y"] };
    const items = [["x"], ["y"]].map((labels, row) => ({ row, text: "t", labels }));
    const doubt = (...given: boolean[][]): string | undefined =>
      multiLabel.doubt!(given.map((each) => ({ given: each })) as never, items, facts);
    expect(doubt([false, false], [false, false])).toMatch(/^every one of 2 rows is given no label: nothing was learnt/);
    expect(doubt([true, true], [true, true])).toMatch(/^every one of 2 rows is given the same labels, x, y:/);
    expect(doubt([true, true], [false, true])).toBeUndefined();
  });

  it("takes labels of a CSV cell apart, and says where one is not known", async () => {
    const files = { "train.csv": 'text,labels\na film,"x, y"\nbad,y\ngood,\n', "dev.csv": 'text,labels\nbad,"y, z"\n' };
    await expect(
      made({ data, device }, files, ["task={name: multi-label, train: train.csv, validation: dev.csv}"]),
    ).rejects.toThrow('dev.csv:2: the label "z" is not known; the rows to train on have "x", "y"');
  });
});

describe("a number a row", () => {
  it("trains, and proves its loss", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({
      sentence1: ["good", "bad", "a film"][i % 3],
      sentence2: "fine",
      score: (i % 3) / 2,
    }));
    const { outcome, out } = await made(
      { data, device },
      { "train.jsonl": lines(rows), "dev.jsonl": lines(rows.slice(0, 5)) },
      ["task={name: regression, train: train.jsonl, validation: dev.jsonl}", "train.microBatch=3"],
    );
    expect(outcome.failures).toEqual([]);
    const [run] = outcome.results;
    expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
    expect(run!.proofs.map(({ name }) => name)).toContain("evaluation-loss-is-task-loss");
    expect(Object.keys(run!.final)).toEqual(["step", "epoch", "loss", "pearson", "spearman", "rmse", "examples"]);
    const config = JSON.parse(readFileSync(join(out, "runs", run!.name, "base", "config.json"), "utf8")) as object;
    expect(config).toMatchObject({ problem_type: "regression", id2label: { 0: "LABEL_0" } });
  });

  it("says where a number is missing", async () => {
    const files = { "train.csv": "text,score\na film,0.5\nbad,much\n", "dev.csv": "text,score\nbad,1\n" };
    await expect(
      made({ data, device }, files, ["task={name: regression, train: train.csv, validation: dev.csv}"]),
    ).rejects.toThrow('train.csv:3: "score" is "much", and a number is needed');
  });
});

describe("rows that are held out", () => {
  const few = fc.array(fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { maxLength: 3 }), {
    minLength: 2,
    maxLength: 120,
  });
  const heldOf = (strata: readonly string[], stratum: string, heldOut: Int32Array): [number, number] => [
    strata.filter((one) => one === stratum).length,
    [...heldOut].filter((i) => strata[i] === stratum).length,
  ];

  test.prop([few, fc.constantFrom(0.1, 0.25, 0.5), fc.nat(99)])(
    "have of each set of labels its share, and leave every label a row to train on",
    (rows, fraction, seed) => {
      const strata = labelSetStrata(rows);
      const { train, heldOut } = stratifiedSplit(strata, fraction, seed);
      for (const stratum of new Set(strata)) {
        const [all, held] = heldOf(strata, stratum, heldOut);
        expect(Math.abs(held - fraction * all)).toBeLessThan(all === 1 ? 2 : 1 + 1e-9);
      }
      for (const labels of rows) {
        const same = rows.filter((other) => [...other].sort().join() === [...labels].sort().join());
        if (same.length >= 10) expect(strata[rows.indexOf(labels)]).toBe(JSON.stringify([...labels].sort()));
      }
      const learnt = new Set([...train].flatMap((i) => rows[i]!));
      expect(learnt).toEqual(new Set(rows.flat()));
      const reversed = labelSetStrata(rows.map((labels) => [...labels].reverse()).reverse()).reverse();
      expect(reversed).toEqual(strata);
    },
  );

  test.prop([fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 200 })])(
    "have of each range of numbers its share",
    (values) => {
      const strata = quantileStrata(values);
      const parts = new Map<string, number[]>();
      values.forEach((value, i) => parts.set(strata[i]!, [...(parts.get(strata[i]!) ?? []), value]));
      // ranges do not overlap
      const ranges = [...parts.values()]
        .map((own) => [Math.min(...own), Math.max(...own)])
        .sort((a, b) => a[0]! - b[0]!);
      ranges.slice(1).forEach(([low], i) => expect(low!).toBeGreaterThan(ranges[i]![1]!));
      expect(parts.size).toBeLessThanOrEqual(Math.max(1, Math.min(10, values.length / 10)));
      if (new Set(values).size === values.length)
        for (const own of parts.values()) expect(own.length).toBeGreaterThanOrEqual(Math.min(10, values.length));
    },
  );
});

describe("sets of labels", () => {
  const sets = fc.integer({ min: 1, max: 4 }).chain((classes) =>
    fc.record({
      classes: fc.constant(classes),
      items: fc.array(fc.tuple(bits(classes), bits(classes)), { minLength: 1, maxLength: 12 }),
    }),
  );
  function bits(classes: number): fc.Arbitrary<number[]> {
    return fc.array(fc.integer({ min: 0, max: 1 }), { minLength: classes, maxLength: classes });
  }

  test.prop([sets])("have the F1 of each label as a question of its own", ({ classes, items }) => {
    const value = (name: string): number => {
      const metric = metrics.get(name);
      // item by item: a count is not a mean of means
      const count = items.reduce<unknown>(
        (before, [predicted, actual]) => metric.update(before, { predicted, actual, classes }),
        undefined,
      );
      return metric.value(count);
    };
    const column = (side: 0 | 1, c: number): number[] => items.map((item) => item[side][c]!);
    const each = Array.from({ length: classes }, (_, c) => metricsOf(column(0, c), column(1, c), 2)["f1"] as number);
    expect(value("f1-macro")).toBeCloseTo(each.reduce((a, b) => a + b, 0) / classes, 12);
    const flat = metricsOf(
      items.flatMap(([predicted]) => predicted),
      items.flatMap(([, actual]) => actual),
      2,
    );
    expect(value("f1-micro")).toBeCloseTo(flat["f1"] as number, 12);
    const same = items.filter(([predicted, actual]) => predicted.join() === actual.join()).length;
    expect(value("subset-accuracy")).toBeCloseTo(same / items.length, 12);
  });
});
