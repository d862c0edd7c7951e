/** The six configurations, and that each switch's proof fails when the switch is off. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dropout } from "@lowrank/nn";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy, plannedRuns, resolveConfig } from "../src/config/load.ts";
import type { MethodConfig, Study } from "../src/config/study.ts";
import { methods } from "../src/methods/registry.ts";
import type { FinishedRun } from "../src/store/measures.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { drawBase } from "../src/bases/make.ts";
import { drawnPlan } from "../src/bases/plan.ts";
import { baseStorage } from "../src/bases/storage.ts";
import { allocationProof, objectiveProof } from "../src/methods/rank-proofs.ts";
import { baseDropoutProof, dtypeProof, quantizationProof } from "../src/train/numerics-proofs.ts";

/** The six of `sst2-six` on a task that needs no data. */
const SMALL = [
  "task={name: planted-rank, train: 192, dev: 64, length: 6, ranks: {query: 1}}",
  "train={epochs: 2, batchSize: 16}",
  "model={hidden: 16, layers: 1, heads: 2, intermediate: 32, dropout: 0, initializerRange: 0.3, seed: 1}",
  ...["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"].map((config) => `configs.${config}.train.lr=5e-3`),
];

let device: Device;
let results: readonly FinishedRun[];
let out: string;
let study: Study;
beforeAll(async () => {
  study = await loadStudy("sst2-six", { set: SMALL });
  device = await init({ device: "wasm", threads: 1 });
  out = mkdtempSync(join(tmpdir(), "lowrank-six-"));
  const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
  const runs = await planStudy(await loadStudy("sst2-six", { set: SMALL, seeds: [1] }), new RunStore(out), {
    environment,
    code: "test",
    device: device.name,
    reuse: false,
  });
  const outcome = await runStudy(runs, {
    out,
    device,
    store: new RunStore(out),
    environment,
    machine: {} as never,
    progress: "quiet",
    say: () => {},
  });
  expect(outcome.failures).toEqual([]);
  expect(outcome.indistinguishable.filter((twin) => twin.identical === "logits")).toEqual([]);
  results = outcome.results;
}, 120_000);
afterAll(() => device.close());

const methodOf = (name: string): MethodConfig => resolveConfig(study, name).method;
const resultOf = (name: string): FinishedRun => results.find((r) => r.config === name)!;
const detail = (name: string, proof: string): Record<string, unknown> =>
  resultOf(name).proofs.find((p) => p.name === proof)!.detail;

describe("six configurations from one preset", () => {
  it("all run, and every proof holds", async () => {
    expect(results.map((r) => r.config)).toEqual(["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"]);
    expect(results.flatMap((r) => r.proofs.filter((p) => !p.holds))).toEqual([]);
    expect(plannedRuns(await loadStudy("sst2-six", { base: "x" }))).toHaveLength(30);
  });

  it("carry what was measured: codes, logit difference, dtypes, allocator calls, ranks, memory", () => {
    expect(detail("b-q4", "quantization")).toMatchObject({
      storage: "nf4",
      modules: 7,
      mostCodesPerBlock: 16,
      logitDifference: expect.toSatisfy((d: number) => d > 0 && d < 1) as number,
    });
    expect(detail("b-fp", "dtypes")).toMatchObject({ weightsReadFrom: "f16", inHalf: 0 });
    expect(detail("joint-1", "dtypes")).toMatchObject({
      weightsReadFrom: "u8",
      productsReadingThem: expect.toSatisfy((n: number) => n > 0) as number,
    });
    expect(detail("joint-2", "dtypes")).toMatchObject({ inHalf: expect.toSatisfy((n: number) => n > 20) as number });
    expect(detail("joint-2", "dtypes")).toHaveProperty("norms.sums", { f32: expect.any(Number) as number });
    expect(resultOf("joint-2").lossScaling).toMatchObject({ finalScale: expect.any(Number) as number });
    // 12 batches of 16 in each of two epochs; seven modules from rank 12 to 8
    expect(detail("b-ada", "rank-allocation")).toMatchObject({
      calls: 24,
      steps: 24,
      kept: 56,
      budget: 56,
      initialBudget: 84,
    });
    expect(resultOf("b-ada").allocation!.modules).toHaveLength(7);
    expect(resultOf("b-ada").parameters.effective).toBeLessThan(resultOf("b-ada").parameters.trainable);
    expect(resultOf("joint-3").modules.map((m) => m.rank)).toEqual([6, 6, 6, 6, 10, 10, 8]);
    const { split } = resultOf("b-q4").measures.memory;
    expect(Object.values(split).every((bytes) => bytes > 0)).toBe(true);
    const file = JSON.parse(
      readFileSync(join(out, "runs", resultOf("b-ada").name, "result.json"), "utf8"),
    ) as FinishedRun;
    expect(file.allocation).toEqual(JSON.parse(JSON.stringify(resultOf("b-ada").allocation)));
  });
});

describe("a switch that is off fails its proof", () => {
  const trace = (name: string): never =>
    ({ ...detail(name, "dtypes"), products: detail(name, "dtypes")["products"], storage: {}, reductions: {} }) as never;

  it("four bits", async () => {
    const needs = { vocab: 64, positions: 6, labels: 2 };
    const sizes = drawnPlan((await loadStudy("sst2-six", { set: SMALL })).model!, "SEQ_CLS", needs);
    let classifier = await drawBase(sizes, "SEQ_CLS", 1, device);
    const [full, other] = [Float64Array.of(1, 2), Float64Array.of(1, 2.1)];
    expect((await quantizationProof(classifier, methodOf("b-q4"), full, other)).holds).toBe(false);
    expect((await quantizationProof(classifier, methodOf("b-fp"), undefined, undefined)).holds).toBe(true);
    classifier.dispose();
    classifier = await drawBase(sizes, "SEQ_CLS", 1, device, baseStorage(methodOf("b-q4"), []));
    expect((await quantizationProof(classifier, methodOf("b-q4"), full, other)).holds).toBe(true);
    expect((await quantizationProof(classifier, { ...methodOf("b-q4"), embeddings: "f32" }, full, other)).holds).toBe(
      false,
    );
    // the same logits as without, or others altogether, or another format
    expect((await quantizationProof(classifier, methodOf("b-q4"), full, full)).holds).toBe(false);
    expect((await quantizationProof(classifier, methodOf("b-q4"), full, Float64Array.of(-9, 9))).holds).toBe(false);
    expect((await quantizationProof(classifier, { ...methodOf("b-q4"), storage: "fp4" }, full, other)).holds).toBe(
      false,
    );
    expect((await quantizationProof(classifier, methodOf("b-fp"), undefined, undefined)).holds).toBe(false);
    classifier.dispose();
  });

  it("dropout of the base", () => {
    const [all, some] = [
      [new Dropout(0.25), new Dropout(0.25)],
      [new Dropout(0.25), new Dropout(0)],
    ];
    const said = { ...methodOf("b-fp"), baseDropout: 0.25 };
    expect([all, some, []].map((places) => baseDropoutProof(places, said).map(({ holds }) => holds))).toEqual([
      [true],
      [false],
      [false],
    ]);
    expect(baseDropoutProof(all, methodOf("b-fp"))).toEqual([]);
  });

  it("mixed precision and narrow storage", () => {
    expect(dtypeProof(trace("joint-2"), methodOf("joint-2")).holds).toBe(true);
    expect(dtypeProof(trace("b-ada"), methodOf("joint-2")).holds).toBe(false);
    const halfStream = { ...detail("joint-2", "dtypes"), reductions: {}, norms: { sums: { f16: 1 }, others: {} } };
    expect(dtypeProof(halfStream as never, methodOf("joint-2")).holds).toBe(false);
    expect(dtypeProof(trace("joint-2"), methodOf("b-ada")).holds).toBe(false);
    expect(dtypeProof(trace("b-fp"), methodOf("b-q4")).holds).toBe(false);
    expect(dtypeProof(trace("b-q4"), { ...methodOf("b-q4"), storage: "f32" }).holds).toBe(false);
    expect(dtypeProof(undefined, methodOf("b-fp")).holds).toBe(false);
  });

  it("rank allocation and its regularizer", () => {
    const record = resultOf("b-ada").allocation!;
    const steps = resultOf("b-ada").steps;
    const [on, off] = [
      { method: "adalora", allocates: true },
      { method: "lora", allocates: false },
    ];
    expect(allocationProof(on, { allocation: record, steps }).holds).toBe(true);
    expect(allocationProof(on, { allocation: undefined, steps }).holds).toBe(false);
    expect(allocationProof(off, { allocation: record, steps }).holds).toBe(false);
    expect(allocationProof(on, { allocation: record, steps: steps + 1 }).holds).toBe(false);
    expect(allocationProof(on, { allocation: { ...record, kept: record.kept + 1 }, steps }).holds).toBe(false);
    expect(allocationProof(on, { allocation: { ...record, finalizedAt: null }, steps }).holds).toBe(false);
    expect(objectiveProof({ regularizes: true }, { regularizers: [0.5, 0.4] }).holds).toBe(true);
    expect(objectiveProof({ regularizes: true }, { regularizers: [0.5, 0] }).holds).toBe(false);
    expect(objectiveProof({ regularizes: false }, { regularizers: [0.5] }).holds).toBe(false);
    // each config asks for the proofs of its own switches
    const lrScales = new Map([
      ["q.lora_A.default.weight", 1],
      ["q.lora_B.default.weight", 1],
    ]);
    const facts = { allocation: record, steps, regularizers: [0.5], lrScales };
    for (const [name, holds] of [
      ["b-ada", true],
      ["b-fp", false],
    ] as const) {
      const options = methodOf(name);
      const proofs = methods.get(options.method).proofs(options, facts);
      expect(
        proofs.map((proof) => proof.holds),
        name,
      ).toEqual(name === "b-fp" ? [holds, holds, true] : [holds, holds]);
    }
  });

  it("rates of LoRA+", () => {
    const options = { ...methodOf("b-fp"), loraPlus: 16 } as MethodConfig;
    const proof = (...scales: readonly (readonly [string, number])[]): boolean =>
      methods
        .get("lora")
        .proofs(options, { allocation: undefined, steps: 1, regularizers: [0], lrScales: new Map(scales) })
        .find(({ name }) => name === "learning-rates")!.holds;
    const [a, b] = ["q.lora_A.default.weight", "q.lora_B.default.weight"];
    expect(proof([a, 1], [b, 16], ["classifier.bias", 16])).toBe(true);
    expect(proof([a, 1], [b, 1])).toBe(false);
    expect(proof([a, 16], [b, 16])).toBe(false);
    expect(proof([a, 1], [b, 8])).toBe(false);
    expect(proof([a, 1])).toBe(false);
  });
});
