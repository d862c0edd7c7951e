/** `lowrank predict` and `lowrank eval` on what runs leave. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromPretrained } from "@lowrank/models";
import { init, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { openPredictor } from "../src/fit/index.ts";
import { toyFolder } from "./row-study.ts";
import { TOY_SIZES, toyCheckpoint } from "./toy-checkpoint.ts";

const data = toyFolder();
const out = mkdtempSync(join(tmpdir(), "lowrank-runs-"));
let base: string;
const WASM = ["--device", "wasm", "--threads", "2"];

interface Run {
  readonly name: string;
  readonly config: string;
  readonly final: Readonly<Record<string, number>>;
}
let runs: readonly Run[];
const folderOf = (config: string): string => join(out, "runs", runs.find((run) => run.config === config)!.name);

const row = (i: number): string =>
  [`"a ""fine"" film,\r\nand good","good, really"`, `a dull film,"""bad"""`, `"not bad, not good",so so`][i % 3]!;
const csv = (rows: number): string =>
  `\ufeffreview,label\r\n${Array.from({ length: rows }, (_, i) => `${row(i)}\r\n`).join("")}`;

beforeAll(async () => {
  const device = await init({ device: "wasm", threads: 1 });
  base = await toyCheckpoint(data, device);
  device.close();
  writeFileSync(join(data, "train.csv"), csv(48));
  writeFileSync(join(data, "dev.csv"), csv(25));
  writeFileSync(
    join(data, "new.csv"),
    `review\r\n${Array.from({ length: 25 }, (_, i) => `${row(i).replace(/,[^,]*(?:, really")?$/, "")}\r\n`).join("")}`,
  );
  const study = join(data, "study.yaml");
  writeFileSync(
    study,
    `
name: mine
task: { name: text-classification, train: train.csv, validation: dev.csv, maxLength: 32 }
seeds: [3]
train: { epochs: 3, batchSize: 5, lr: 0.01 }
configs:
  lora: { method: lora, r: 4, target: all-linear }
  nf4: { method: lora, r: 4, target: all-linear, storage: nf4, train: { lr: 0.02 } }
  full: { method: full }
`,
  );
  expect(await main(["run", study, "--data", data, "--base", base, "--out", out, "--quiet", ...WASM])).toBe(0);
  runs = (JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as { results: Run[] }).results;
}, 120_000);
afterAll(() => {
  for (const folder of [data, base, out]) rmSync(folder, { recursive: true, force: true });
});

describe("predict", () => {
  it.each(["lora", "nf4", "full"])("writes what the run itself wrote, byte for byte: %s", async (config) => {
    const file = join(out, `${config}.jsonl`);
    const option = config === "full" ? "--model" : "--adapter";
    // other threads than the run had, and rows without labels
    const args = ["predict", option, folderOf(config), "--data", join(data, "new.csv"), "--out", file, "--quiet"];
    expect(await main([...args, "--device", "wasm", "--threads", "1"])).toBe(0);
    expect(readFileSync(file, "utf8")).toBe(readFileSync(join(folderOf(config), "predictions.jsonl"), "utf8"));
  });

  it("says how many rows it cut, and which option names a column", async () => {
    const file = join(data, "long.csv");
    writeFileSync(file, `review\n${"a fine film ".repeat(40)}\na film\n`);
    const said: string[] = [];
    const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
    const args = ["predict", "--adapter", folderOf("lora"), "--out", join(out, "long.jsonl"), ...WASM];
    expect(await main([...args, "--data", file])).toBe(0);
    expect(said.join("")).toMatch(
      /long\.csv: 1 of 2 rows are longer than the 32 tokens that the model was trained with and were cut\n/,
    );
    writeFileSync(file, "words\na film\n");
    expect(await main([...args, "--data", file])).toBe(2);
    expect(said.at(-1)).toMatch(/there is no column "review".*--column text=NAME in a command/);
    spy.mockRestore();
  });

  it("writes CSV with a column for each probability, and labels as they were spelt", async () => {
    const file = join(out, "lora.csv");
    const args = ["predict", "--adapter", join(folderOf("lora"), "adapter"), "--data", join(data, "dev.csv")];
    expect(await main([...args, "--out", file, "--quiet", ...WASM])).toBe(0);
    const [header, ...lines] = readFileSync(file, "utf8").trim().split("\n");
    expect(header).toBe('index,prediction,"probabilities.""bad""","probabilities.good, really",probabilities.so so');
    expect(lines).toHaveLength(25);
    expect(lines[0]).toMatch(/^0,"good, really",0\.\d+,0\.\d+,0\.\d+$/);
  });
});

describe("merge", () => {
  it("keeps the names of labels, and what was drawn that no file has", async () => {
    const merged = join(out, "merged");
    const folder = join(folderOf("lora"), "adapter");
    expect(await main(["merge", "--adapter", folder, "--out", merged, ...WASM])).toBe(0);
    expect(JSON.parse(readFileSync(join(merged, "config.json"), "utf8"))).toMatchObject({
      id2label: { 0: '"bad"', 1: "good, really", 2: "so so" },
    });
    // the pooler lies in neither file, and decides as well
    const device = await init({ device: "wasm", threads: 1 });
    const predictor = await openPredictor(folder, { device });
    const { model } = await fromPretrained(merged, { device, task: "SEQ_CLS" });
    const inputs = { inputIds: device.tensor(Int32Array.of(5, 6, 7), [1, 3], "i32") };
    const logits = (each: typeof model): Promise<Float64Array> => {
      each.eval();
      return (each.forward(inputs) as { logits: Tensor }).logits.floats();
    };
    const wanted = await logits(predictor.base.model);
    (await logits(model)).forEach((x, i) => expect(Math.abs(x - wanted[i]!)).toBeLessThan(1e-4));
    device.close();
  });
});

describe("eval", () => {
  it("counts what the run counted", async () => {
    const written: string[] = [];
    const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
    try {
      const args = ["eval", "--adapter", folderOf("lora"), "--data", join(data, "dev.csv"), "--json", ...WASM];
      expect(await main([...args, "--metrics", "accuracy,f1,matthews"])).toBe(0);
    } finally {
      spy.mockRestore();
    }
    const { final } = runs.find(({ config }) => config === "lora")!;
    const report = JSON.parse(written.join("")) as Record<string, number>;
    expect(report).toMatchObject({ rows: 25, accuracy: final["accuracy"], f1: final["f1"] });
    expect(report["loss"]).toBeCloseTo(final["loss"]!, 5);
    expect(Object.keys(report)).toContain("matthews");
  });
});

it("refuses in one line what cannot be meant", async () => {
  const said: string[] = [];
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  try {
    const codes = [];
    for (const args of [
      ["predict", "--data", "x.csv"],
      ["predict", "--adapter", out, "--data", "x.csv"],
      ["predict", "--model", folderOf("lora"), "--data", "x.csv"],
      ["predict", "--adapter", folderOf("lora"), "--data", join(data, "dev.csv"), "--out", "x.docx"],
      ["predict", "--adapter", folderOf("lora"), "--data", join(data, "dev.csv"), "--column", "texts=review"],
      ["eval", "--adapter", folderOf("lora"), "--data", join(data, "new.csv")],
      ["eval", "--adapter", folderOf("lora"), "--data", join(data, "dev.csv"), "--metrics", "pearson"],
    ])
      codes.push(await main([...args, ...WASM]));
    expect(codes).toEqual([2, 2, 2, 2, 2, 2, 2]);
  } finally {
    spy.mockRestore();
  }
  const wanted = [
    "give one of --adapter",
    "there is no lowrank.json",
    "there is no lowrank.json",
    "ends in .jsonl or .csv",
    "ROLE=NAME",
    'there is no column "label"',
    "counts numbers",
  ];
  const lines = said.filter((line) => line.startsWith("lowrank:"));
  expect(lines.map((line, i) => line.includes(wanted[i]!) || line)).toEqual(wanted.map(() => true));
});

describe("what merge and export leave", () => {
  const said = async (...args: string[]): Promise<{ code: number; stderr: string }> => {
    let stderr = "";
    const spies = [
      vi.spyOn(process.stdout, "write").mockReturnValue(true),
      vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
        stderr += String(chunk);
        return true;
      }),
    ];
    try {
      return { code: await main([...args, "--quiet", ...WASM]), stderr };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  };
  const predictions = async (file: string, ...from: string[]): Promise<string[][]> => {
    expect(await said("predict", ...from, "--data", join(data, "new.csv"), "--out", join(out, file))).toMatchObject({
      code: 0,
      stderr: "",
    });
    return readFileSync(join(out, file), "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split(","));
  };

  it("is predicted with as the adapter is, labels as they were spelt, and keeps its card", async () => {
    const adapter = join(folderOf("lora"), "adapter");
    for (const to of ["peft", "hf"])
      expect((await said("export", "--adapter", adapter, "--to", to, "--out", join(out, to))).code).toBe(0);
    const wanted = await predictions("own.csv", "--adapter", adapter);
    expect(await predictions("peft.csv", "--adapter", join(out, "peft"))).toEqual(wanted);
    expect(readFileSync(join(out, "peft", "README.md"), "utf8")).toBe(readFileSync(join(adapter, "README.md"), "utf8"));
    const merged = await predictions("hf.csv", "--model", join(out, "hf"));
    expect(merged.map(([, label]) => label)).toEqual(wanted.map(([, label]) => label));
    for (const [i, cells] of merged.slice(1).entries())
      for (const [k, cell] of cells.entries())
        if (/^0?\.\d/.test(cell)) expect(Math.abs(Number(cell) - Number(wanted[i + 1]![k]))).toBeLessThan(1e-4);
    const config = JSON.parse(readFileSync(join(out, "hf", "config.json"), "utf8")) as { id2label: object };
    expect(Object.values(config.id2label)).toEqual(['"bad"', "good, really", "so so"]);
  });

  it("says that the base is not the adapter's own, and that there are layers it has nothing for", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const deeper = await toyCheckpoint(data, device, ["BertForMaskedLM", { ...TOY_SIZES, num_hidden_layers: 3 }]);
    device.close();
    const adapter = join(folderOf("lora"), "adapter");
    const fits = ["--adapter", adapter, "--base", deeper];
    const run = ["predict", ...fits, "--data", join(data, "new.csv"), "--out", join(out, "deeper.csv")];
    try {
      for (const args of [run, ["merge", ...fits, "--out", join(out, "deeper")]]) {
        const { stderr } = await said(...args);
        expect(stderr).toContain(`warning: ${adapter} was made for `);
        expect(stderr).toContain(`, and is laid on ${deeper}, as --base says\n`);
        expect(stderr).toMatch(/warning: the adapter has nothing for 6 modules of this base .*layer\.2\./);
      }
    } finally {
      rmSync(deeper, { recursive: true, force: true });
    }
  });
});
