/** Fine-tuning and predictions as functions. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "@fast-check/vitest";
import { directory } from "@lowrank/models";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fit, fitSteps, openPredictor, predict, type Fitted, type FitProgress } from "../src/fit/index.ts";
import { configOf } from "../src/fit/options.ts";
import { rowTasks } from "../src/tasks/row-tasks.ts";
import { TOY_CAUSAL, toyCheckpoint } from "./toy-checkpoint.ts";
import { toyFolder } from "./row-study.ts";

const data = toyFolder();
let device: Device;
let base: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  base = await toyCheckpoint(data, device);
}, 60_000);
afterAll(() => {
  device.close();
  for (const folder of [data, base]) rmSync(folder, { recursive: true, force: true });
});

const TEXTS = ["a fine film", "fine and good", "a dull film", "dull and bad", "not bad .", "not good", "long film ."];
const LABELS = ["good", "good", "bad", "bad", "so so", "bad", "so so"];
const rows = Array.from({ length: 42 }, (_, i) => ({ text: TEXTS[i % 7]!, label: LABELS[i % 7]! }));
const options = {
  method: { method: "lora", r: 4, target: "all-linear" },
  train: { epochs: 6, batchSize: 8, lr: 0.01 },
  maxLength: 32,
};
const answered = (predictions: readonly object[]): unknown[] =>
  predictions.map((p) => (p as { prediction: unknown }).prediction);

describe("a training in code", () => {
  let fitted: Fitted;
  const told: FitProgress[] = [];
  beforeAll(async () => {
    fitted = await fit(base, rows, { ...options, device, onProgress: (progress) => told.push(progress) });
  }, 120_000);
  afterAll(() => fitted.dispose());

  it("learns, tells how it goes, and keeps the names of labels", async () => {
    // 38 rows in batches of 8, six times
    expect(told.filter(({ kind }) => kind === "step")).toHaveLength(30);
    expect(told.filter(({ kind }) => kind === "evaluation")).toHaveLength(6);
    expect(fitted.labels).toEqual(["bad", "good", "so so"]);
    expect(fitted.metrics["accuracy"]).toBe(1);
    expect(answered(await predict(fitted, TEXTS))).toEqual(LABELS);
  });

  it("says the same of a text whatever is asked besides, to the last bit", async () => {
    const alone = new Map<string, string>();
    for (const text of TEXTS) alone.set(text, JSON.stringify(await predict(fitted, [text])));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...TEXTS), { minLength: 1, maxLength: 90 }), async (texts) => {
        const all = await predict(fitted, texts);
        expect(all.map((one) => JSON.stringify([one]))).toEqual(texts.map((text) => alone.get(text)));
      }),
      { numRuns: 12 },
    );
  });

  it("says nothing of no texts", async () => {
    expect(await predict(fitted, [])).toEqual([]);
  });

  it("takes a method's name, and refuses what it would ignore", async () => {
    const wrong = (more: object): Promise<unknown> => fit(base, rows, { ...options, ...more, device });
    await expect(wrong({ epochs: 3 })).rejects.toThrow('fit: there is no option "epochs"; say train: { epochs: … }');
    await expect(wrong({ colums: {} })).rejects.toThrow('fit: there is no option "colums"; did you mean "columns"?');
    await expect(wrong({ method: "loraa" })).rejects.toThrow('there is no method "loraa"; did you mean "lora"?');
    await expect(wrong({ method: { r: 4 } })).rejects.toThrow(
      "method says no name; say { method: NAME, … } with one of",
    );
    const facts = [rowTasks.get("text-classification"), ["classifier"]] as const;
    const named = configOf(facts[0], { method: "lora" }, facts[1]);
    expect(named).toEqual(configOf(facts[0], { method: { method: "lora", r: 8, target: "all-linear" } }, facts[1]));
    expect(configOf(facts[0], {}, facts[1])).toEqual(named);
  });

  it("counts what is right in rows that say it", async () => {
    const table = [...TEXTS.map((text, i) => ({ text, label: LABELS[i] })), { text: "a film", label: "bad" }];
    const { tableOf } = await import("../src/data/table/table.ts");
    const { metrics, answers } = await fitted.evaluate(tableOf(table), ["accuracy", "matthews"]);
    const right = answers.filter(({ decision }, i) => decision === table[i]!.label).length;
    expect(metrics["accuracy"]).toBe(right / table.length);
    await expect(fitted.evaluate(tableOf([{ text: "a film", label: "odd" }]))).rejects.toThrow(
      'rows[0]: the label "odd" is not known; the rows to train on have "bad", "good", "so so"',
    );
  });

  it("is opened again from what it wrote, and answers with the same bits", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-fitted-"));
    await fitted.save(directory(folder));
    const again = await openPredictor(folder, { device });
    expect(await predict(again, TEXTS)).toEqual(await predict(fitted, TEXTS));
    again.dispose();
    rmSync(folder, { recursive: true });
  });

  it.each([1, 3])("is opened again beside the base that LoftQ left, after %i iterations", async (loftqIterations) => {
    const method = {
      method: "lora",
      r: 4,
      alpha: 4,
      target: "all-linear",
      init: "loftq",
      loftqIterations,
      storage: "nf4",
    };
    const trained = await fit(base, rows, { ...options, method, train: { epochs: 1, batchSize: 8, lr: 0.01 }, device });
    const folder = mkdtempSync(join(tmpdir(), "lowrank-fitted-"));
    await trained.save(directory(folder));
    const again = await openPredictor(folder, { device });
    expect(await predict(again, TEXTS)).toEqual(await predict(trained, TEXTS));
    for (const one of [trained, again]) one.dispose();
    rmSync(folder, { recursive: true });
  });

  it("has probabilities that no batch, padding or number of threads changes", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-fitted-"));
    await fitted.save(directory(folder));
    const here = await predict(fitted, TEXTS);
    const several = await init({ device: "wasm", threads: 3 });
    const again = await openPredictor(folder, { device: several });
    expect(await predict(again, TEXTS)).toEqual(here);
    again.dispose();
    several.close();
    // padded further and with other rows beside it: what attention sums over is longer, by zeros
    const probability = (logits: Float64Array): number[] => {
      const powers = Array.from(logits, Math.exp);
      return powers.map((p) => p / powers.reduce((a, b) => a + b));
    };
    const { task, base: model, tokenizer } = fitted;
    const table = { name: "t", items: TEXTS.map((text, row) => ({ row, text })), place: () => "t" };
    const examples = task.encode(table, { ...fitted.facts, tokenizer, padId: 0, maxLength: 32, part: "predict" });
    for (const [count, multiple] of [
      [7, 8],
      [3, 32],
      [1, 16],
    ] as const) {
      const batch = examples.batch(
        Int32Array.from({ length: count }, (_, i) => 6 - i),
        { rows: count + 2, multiple },
        0,
      );
      const inputs = Object.fromEntries(
        Object.entries(batch.inputs).map(([name, { data: values, shape, dtype }]) => [
          name,
          device.tensor(values, shape, dtype),
        ]),
      );
      model.model.eval();
      const logits = await task.forward(model, inputs)["logits"]!.floats();
      for (let i = 0; i < count; i++) {
        const expected = Object.values((here[6 - i] as { probabilities: Record<string, number> }).probabilities);
        probability(logits.subarray(3 * i, 3 * i + 3)).forEach((p, c) =>
          expect(Math.abs(p - expected[c]!)).toBeLessThan(1e-5),
        );
      }
    }
  });
});

describe("a causal model", () => {
  it("whose files name no padding is padded with the end of a text, and told so", async () => {
    const causal = await toyCheckpoint(data, device, ["GPT2LMHeadModel", TOY_CAUSAL]);
    writeFileSync(join(causal, "tokenizer_config.json"), JSON.stringify({ eos_token: "[SEP]" }));
    const fitted = await fit(causal, rows, { ...options, device });
    expect([fitted.use.padId, fitted.use.padOfModel]).toEqual([3, false]);
    expect((fitted.base.model.config as { padTokenId?: number }).padTokenId).toBe(3);
    expect(fitted.metrics["accuracy"]).toBe(1);
    // texts of several lengths in one batch, each told by its own last token
    expect(answered(await predict(fitted, TEXTS))).toEqual(LABELS);
    const folder = mkdtempSync(join(tmpdir(), "lowrank-fitted-"));
    await fitted.save(directory(folder));
    const again = await openPredictor(folder, { device });
    expect(await predict(again, TEXTS)).toEqual(await predict(fitted, TEXTS));
    for (const model of [again, fitted]) model.dispose();
    for (const path of [folder, causal]) rmSync(path, { recursive: true });
  });
});

describe("a training that is followed step by step", () => {
  it("comes to the same, and ends where it is broken off", async () => {
    const steps = fitSteps(base, rows, { ...options, device });
    const losses: number[] = [];
    let next = await steps.next();
    for (; next.done !== true; next = await steps.next()) if (next.value.kind === "step") losses.push(next.value.loss);
    expect(losses).toHaveLength(30);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    next.value.dispose();
    for await (const progress of fitSteps(base, rows, { ...options, device })) if (progress.kind === "step") break;
  });

  it("refuses in one line what cannot be meant", async () => {
    await expect(fit(base, rows, { device, task: "text-clasification" })).rejects.toThrow(
      'there is no task on rows "text-clasification"; did you mean "text-classification"?',
    );
    await expect(fit(base, rows, { device, train: { epoch: 3 } as never })).rejects.toThrow(
      'fit: train: unknown key "epoch"',
    );
    await expect(fit(base, [{ text: "a film" }], { device, columns: { label: "stars" } })).rejects.toThrow(
      'rows: there is no column "stars"',
    );
    await expect(fit(base, [], { device })).rejects.toThrow("rows: has no rows");
  });
});
