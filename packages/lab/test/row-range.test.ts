/** Rows of a file by their numbers: which are trained on, which are held out, what is refused, and that a run knows which they were. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { canonicalJson } from "../src/config/canonical.ts";
import { sequence } from "../src/data/token-set.ts";
import { chooseRows, overlapTrouble, type RowRange } from "../src/data/row-range.ts";
import { loadSst2 } from "../src/data/sst2.ts";
import { made, planned, toyFolder } from "./row-study.ts";

const data = toyFolder();
let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
  rmSync(data, { recursive: true, force: true });
});

const range = fc
  .tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }))
  .map(([a, b]): RowRange => [Math.min(a, b), Math.max(a, b)]);
const maybe = fc.option(range, { nil: undefined });
const numbers = (of: RowRange): number[] =>
  Array.from({ length: 31 }, (_, row) => row).filter((row) => row >= of[0] && row <= of[1]);

describe("rows by number", () => {
  it("are those of the file between the two, and none is in both parts", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), maybe, maybe, (count, trainRows, heldOut) => {
        const train = numbers(trainRows ?? [1, count]).filter(
          (row) => trainRows !== undefined || heldOut === undefined || !numbers(heldOut).includes(row),
        );
        const held = heldOut === undefined ? undefined : numbers(heldOut);
        const shared = trainRows === undefined ? [] : train.filter((row) => held?.includes(row));
        const beyond = [...train, ...(held ?? [])].some((row) => row > count);
        if (shared.length > 0 || beyond || train.length === 0) {
          expect(() => chooseRows(count, { trainRows, heldOut }, "a.csv")).toThrow(/^a\.csv: "/);
          return;
        }
        const chosen = chooseRows(count, { trainRows, heldOut }, "a.csv");
        expect([...chosen.train].map((place) => place + 1)).toEqual(train);
        expect(chosen.heldOut === undefined ? undefined : [...chosen.heldOut].map((place) => place + 1)).toEqual(held);
      }),
    );
  });

  it("says what is shared, and what is beyond the file", () => {
    expect(overlapTrouble({ trainRows: [1, 8], heldOut: [9, 10] })).toBeUndefined();
    expect(overlapTrouble({ trainRows: [1, 8], heldOut: [8, 10] })).toBe(
      `"validation.trainRows" [8, 10] and "trainRows" [1, 8] share row 8; rows that are trained on tell nothing about others`,
    );
    expect(() => chooseRows(5, { heldOut: [4, 6] }, "a.csv")).toThrow(
      `a.csv: "validation.trainRows" [4, 6] goes beyond the 5 rows of the file; let it end at 5 or before`,
    );
    expect(() => chooseRows(5, { heldOut: [1, 5] }, "a.csv")).toThrow(
      "are all rows of the file; leave some to train on",
    );
  });
});

describe("SST-2 by rows", () => {
  const load = (parts: object): ReturnType<typeof loadSst2> =>
    loadSst2({ dataFolder: data, base: null, cacheFolder: join(data, ".cache"), maxLength: 16, ...parts });

  it("trains on the first ones and evaluates on dev.tsv, or on later ones", async () => {
    const [whole, first, held] = [
      await load({}),
      await load({ trainRows: [1, 10] }),
      await load({ trainRows: [1, 10], heldOut: [11, 13] }),
    ];
    expect(first.dev).toEqual(whole.dev);
    for (const { train } of [first, held]) {
      expect([...train.rows!]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect([...train.labels]).toEqual([...whole.train.labels.subarray(0, 10)]);
    }
    expect([...held.dev.rows!]).toEqual([10, 11, 12]);
    expect([...sequence(held.dev.tokens, 2)]).toEqual([...sequence(whole.train.tokens, 12)]);
    // limits are of the rows that are meant
    const few = await load({ trainRows: [5, 12], trainLimit: 3, heldOut: [20, 24], devLimit: 2 });
    expect([...few.train.rows!].every((row) => row >= 4 && row < 12)).toBe(true);
    expect([...few.dev.rows!].every((row) => row >= 19 && row < 24)).toBe(true);
    expect([few.train.labels.length, few.dev.labels.length]).toEqual([3, 2]);
    await expect(load({ trainRows: [1, 25] })).rejects.toThrow(
      /train\.tsv: "trainRows" \[1, 25\] goes beyond the 24 rows/,
    );
  });

  const sst2 = (...set: string[]): ReturnType<typeof loadStudy> =>
    loadStudy("sst2", { set: ["model={hidden: 8, layers: 1, heads: 2, intermediate: 8}", ...set] });

  it("is another task with other rows, and the same one where none are said", async () => {
    const task = async (...set: string[]): Promise<string> => canonicalJson((await sst2(...set)).task);
    expect(await task()).toBe(canonicalJson({ name: "sst2", maxLength: 64 }));
    const others = await Promise.all([
      task("task.trainRows=[1, 8]"),
      task("task.trainRows=[1, 9]"),
      task("task.trainRows=[1, 8]", "task.validation={trainRows: [9, 10]}"),
    ]);
    expect(new Set([await task(), ...others]).size).toBe(4);
  });

  it.each([
    ["task.trainRows=[5, 1]", `"task.trainRows" is [5,1]; the first row comes after the last one; write [FIRST, LAST]`],
    ["task.trainRows=[0, 1]", `"task.trainRows.0" is 0`],
    ["task.trainRows=8", `"task.trainRows" is 8; expected [FIRST, LAST], numbers of rows from 1 on, such as [1, 8000]`],
    ["task.validation={rows: [1, 2]}", `unknown key "task.validation.rows"`],
    ["task={name: sst2, trainRows: [1, 8], validation: {trainRows: [2, 3]}}", "share rows 2 to 3"],
  ])("refuses %s", async (set, message) => {
    await expect(sst2(set)).rejects.toThrow(message);
  });

  it("is refused where a sweep would choose by rows that it trains on", async () => {
    const sweep = (rows: string): Promise<unknown> =>
      sst2(
        "task.trainRows=[1, 8]",
        `configs={head: {method: head, rate: {sweep: {rates: [1e-3, 1e-2], seed: 7, task: {validation: {trainRows: ${rows}}}}}}}`,
      );
    await expect(sweep("[8, 12]")).rejects.toThrow(`"configs.head.rate.sweep.task": "validation.trainRows" [8, 12]`);
    await expect(sweep("[9, 12]")).resolves.toBeDefined();
  });
});

describe("files by rows", () => {
  const TRAIN = `text,label\n${Array.from({ length: 12 }, (_, i) => `${i % 2 === 0 ? "fine" : "dull"} film,${i % 2 === 0 ? "yes" : "no"}\n`).join("")}`;
  const files = { "train.csv": TRAIN, "dev.csv": "text,label\ngood,yes\nbad,no\n" };
  const task = (rest: string): string => `task={name: text-classification, train: train.csv, ${rest}}`;

  it("are held out in the order of the file", async () => {
    const { outcome, out } = await made({ data, device }, files, [
      task("trainRows: [1, 8], validation: {trainRows: [10, 12]}"),
      "train.epochs=1",
    ]);
    expect(outcome.failures).toEqual([]);
    const lines = readFileSync(join(out, "runs", outcome.results[0]!.name, "predictions.jsonl"), "utf8");
    expect(
      lines
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { index: number }).index),
    ).toEqual([9, 10, 11]);
  });

  it("are part of a run's identity", async () => {
    const [folder, out] = [mkdtempSync(join(tmpdir(), "lowrank-f-")), mkdtempSync(join(tmpdir(), "lowrank-o-"))];
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const ids = await Promise.all(
      [
        "validation: dev.csv",
        "validation: dev.csv, trainRows: [1, 8]",
        "trainRows: [1, 8], validation: {trainRows: [9, 10]}",
      ].map(async (rest) => (await planned({ data, files: folder, out, device }, [task(rest)]))[0]!.id),
    );
    expect(new Set(ids).size).toBe(3);
  });

  it("refuses labels that only later rows have", async () => {
    const late = `${TRAIN}good,maybe\n`;
    await expect(
      made({ data, device }, { ...files, "train.csv": late }, [
        task("trainRows: [1, 8], validation: {trainRows: [9, 13]}"),
      ]),
    ).rejects.toThrow(/maybe/);
  });
});
