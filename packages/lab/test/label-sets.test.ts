/** Studies whose rows have several labels, or a number; and what is counted of sets of labels. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
