/** A study on a person's own file: what is trained, kept and said, and what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { textClassification } from "../src/tasks/text-classification.ts";
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

/** Quotes, newlines in fields, CRLF and a byte order mark. */
const TRAIN = `\ufeffreview,Label\r\n${Array.from(
  { length: 8 },
  () => `"a ""fine"" film,\r\nand good",great\r\na dull film,no good\r\n"not bad\nnot good",so so\r\n`,
).join("")}`;
const DEV = `review,Label\n"a good film",great\nbad and long,no good\n"not bad, not good",so so\n`;

describe("text classification on a file", () => {
  it("trains, proves, and keeps the names of labels", async () => {
    const { outcome, said, out } = await made({ data, device }, { "train.csv": TRAIN, "dev.csv": DEV });
    expect(outcome.failures).toEqual([]);
    const [run] = outcome.results;
    expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
    expect(run!.proofs.map(({ name }) => name)).toContain("evaluation-loss-is-task-loss");
    expect(run!.final).toMatchObject({ examples: 3 });
    expect(said.join("\n")).toMatch(/labels, by code unit: great, no good, so so/);
    expect(said.join("\n")).toMatch(/"review" is taken for text/);
    const folder = join(out, "runs", run!.name);
    const lines = readFileSync(join(folder, "predictions.jsonl"), "utf8").trim().split("\n");
    const first = JSON.parse(lines[0]!) as { index: number; probabilities: Record<string, number> };
    expect(first.index).toBe(0);
    expect(Object.keys(first.probabilities)).toEqual(["great", "no good", "so so"]);
    expect(Object.values(first.probabilities).reduce((a, b) => a + b)).toBeCloseTo(1, 8);
    const config = JSON.parse(readFileSync(join(folder, "base", "config.json"), "utf8")) as { id2label: object };
    expect(config.id2label).toEqual({ "0": "great", "1": "no good", "2": "so so" });
  });

  it("takes a pair of texts, a share of the rows for validation, and weights by class", async () => {
    const rows = Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({
        premise: i % 4 === 0 ? "a fine film" : `not good ${i}`,
        hypothesis: "good",
        label: i % 4 === 0,
      }),
    );
    const { outcome, said } = await made({ data, device }, { "train.jsonl": rows.join("\n") }, [
      "task={name: text-classification, train: train.jsonl, validation: {fraction: 0.2}, classWeights: balanced}",
      "train.microBatch=3",
    ]);
    expect(outcome.failures).toEqual([]);
    // of 5 and 15 rows a fifth each
    expect(outcome.results[0]!.final).toMatchObject({ examples: 4 });
    expect(said.find((line) => line.startsWith("warning"))).toBe(
      "warning: 1 of 4 validation rows are rows to train on, too, the first at train.jsonl:9; the metrics are too good by them",
    );
  });

  it("warns of labels that differ only in capitals or spaces", () => {
    const said: string[] = [];
    const names = ["negative", " negative", "positive", "NEGATIVE", "negative"];
    const items = names.map((label, row) => ({ row, text: "a", label }));
    textClassification.labels({ name: "rows.csv", items, place: () => "" }, {}, (line) => said.push(line));
    expect(said[0]).toBe(
      'warning: rows.csv: the labels " negative" (1), "NEGATIVE" (1), "negative" (2) differ only in capitals or spaces, and are learnt as 3 labels',
    );
    expect(said).toHaveLength(2);
  });

  it("makes the same run of the same rows under another name", async () => {
    const made = ["a", "b"].map(async (name) => {
      const [folder, out] = [mkdtempSync(join(tmpdir(), "lowrank-f-")), mkdtempSync(join(tmpdir(), "lowrank-o-"))];
      for (const part of ["train", "dev"]) writeFileSync(join(folder, `${part}${name}.csv`), TRAIN);
      const set = [`task.train=train${name}.csv`, `task.validation=dev${name}.csv`];
      return (await planned({ data, files: folder, out, device }, set))[0]!.id;
    });
    const ids = await Promise.all(made);
    expect(ids[0]).toBe(ids[1]);
  });

  const refused: readonly (readonly [what: string, files: Record<string, string>, set: string[], message: string])[] = [
    [
      "a column that there is not",
      { "train.csv": TRAIN, "dev.csv": DEV },
      ["task.columns={text: reviews, label: Label}"],
      'train.csv: there is no column "reviews"; did you mean "review"?',
    ],
    [
      "columns of which any may be meant",
      { "train.csv": "text,review,label\na,b,c\n", "dev.csv": DEV },
      ["task.columns={}"],
      'train.csv: the text may be any of the columns "text", "review"; say columns.text',
    ],
    [
      "an empty field",
      { "train.csv": `review,Label\na film,great\n" ",great\n`, "dev.csv": DEV },
      [],
      'train.csv:3: "review" is empty',
    ],
    [
      "a label that only validation has",
      { "train.csv": TRAIN, "dev.csv": `${DEV}a film,odd\n` },
      [],
      'dev.csv:5: the label "odd" is not known; the rows to train on have "great", "no good", "so so"',
    ],
    [
      "a label without a row",
      { "train.csv": TRAIN, "dev.csv": DEV },
      ["task.labels=[great, no good, so so, awful]"],
      'train.csv: no row to train on has the label "awful"; a model cannot learn it',
    ],
    [
      "one label alone",
      { "train.csv": "review,Label\na,x\nb,x\n", "dev.csv": DEV },
      [],
      'train.csv: every row has the label "x"; there is nothing to tell apart',
    ],
    [
      "a row of another width",
      { "train.csv": `review,Label\n"a\nb",great\na, b,great\n`, "dev.csv": DEV },
      [],
      "train.csv:4: has 3 fields, the header has 2; put a field that holds a comma in quotes",
    ],
    [
      "a quote that is not closed",
      { "train.csv": `review,Label\na,great\n"b,great\nc,great\n`, "dev.csv": DEV },
      [],
      "train.csv:3: a quote is opened and never closed; double quotes that belong to the text",
    ],
    [
      "a weight of what is no label",
      { "train.csv": TRAIN, "dev.csv": DEV },
      ["task.classWeights={greet: 2}"],
      "classWeights",
    ],
    [
      "a file that is no table",
      { "train.docx": "", "dev.csv": DEV },
      ["task.train=train.docx"],
      "is no table by its name",
    ],
    ["a file that is not there", { "dev.csv": DEV }, [], "no such file: train.csv"],
  ];
  it.each(refused)("refuses %s", async (_, files, set, message) => {
    const error = await made({ data, device }, files, set).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ name: "InputError" });
    expect(error!.message).toContain(message);
    expect(error!.message).not.toContain("\n");
  });
});
