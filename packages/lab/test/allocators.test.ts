/** Allocators as studies reach them: by name, at one budget, with the proofs of every run. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allocators } from "../src/allocators/registry.ts";
import { importance, readGradients } from "../src/bases/gradients.ts";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { permutation } from "../src/random/seeds.ts";
import type { TaskData } from "../src/records/task.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { prepareTask, taskOf } from "../src/tasks/prepare.ts";

const SMALL = [
  "task={name: planted-rank, train: 96, dev: 32, length: 6, labels: 5, ranks: {value: 2}}",
  "model={hidden: 8, layers: 2, heads: 2, intermediate: 8, initializerRange: 0.3}",
  "train={epochs: 2, batchSize: 16}",
];
const ADA =
  "method: adalora, initR: 3, targetR: 1, target: [value, intermediate.dense], tinit: 2, tfinal: 2, deltaT: 3, train: {lr: 1e-2}";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

type Run = StudyOutcome["results"][number];

async function run(configs: string, seeds: readonly number[]): Promise<StudyOutcome> {
  const out = mkdtempSync(join(tmpdir(), "lowrank-allocators-"));
  const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
  const study = await loadStudy("planted", { set: [...SMALL, `configs=${configs}`], seeds });
  const store = new RunStore(out);
  const runs = await planStudy(study, store, { environment, code: "test", device: device.name, reuse: false });
  const machine = {} as never;
  return runStudy(runs, { out, device, store, environment, machine, progress: "quiet", say: () => undefined });
}

describe("controls of an allocator", () => {
  it("have AdaLoRA's schedule, budget and regularizer, and decide by the seed alone, or evenly", async () => {
    const { results, failures } = await run(
      `{ada: {${ADA}}, random: {${ADA}, allocator: random}, uniform: {${ADA}, allocator: uniform}}`,
      [1, 2],
    );
    expect(failures).toEqual([]);
    expect(results.flatMap(({ proofs }) => proofs.filter(({ holds }) => !holds))).toEqual([]);
    const of = (config: string, seed: number): (typeof results)[number] =>
      results.find((r) => r.config === config && r.seed === seed)!;
    for (const seed of [1, 2]) {
      const ada = of("ada", seed);
      for (const config of ["random", "uniform"]) {
        const { allocation, parameters, proofs } = of(config, seed);
        expect(allocation).toMatchObject({ method: config, kept: 4, targetBudget: 4, initialBudget: 12 });
        expect([allocation!.choices, allocation!.budgets, parameters]).toEqual([
          ada.allocation!.choices,
          ada.allocation!.budgets,
          ada.parameters,
        ]);
        // 12 steps, all with the term
        expect(proofs.find(({ name }) => name === "regularizer-in-training-only")!.detail).toMatchObject({
          steps: 12,
          withRegularizer: 12,
        });
      }
      const places = permutation(12, new RandomStream(seed, "allocator/random"));
      expect(of("random", seed).allocation!.modules.flatMap(({ mask }) => mask)).toEqual(places.map((p) => p >= 8));
      expect(of("uniform", seed).allocation!.modules.map(({ kept }) => kept)).toEqual([1, 1, 1, 1]);
    }
    expect(of("random", 1).allocation!.modules).not.toEqual(of("random", 2).allocation!.modules);
  }, 60_000);

  it("is none where it is false: every rank stays, and the regularizer with it", async () => {
    const off = `${ADA}, allocator: false`;
    const { results } = await run(`{off: {${off}}, free: {${off}, orthRegWeight: 0}}`, [1]);
    expect(results.flatMap(({ proofs }) => proofs.filter(({ holds }) => !holds))).toEqual([]);
    for (const { config, allocation, proofs } of results) {
      expect(allocation).toBeUndefined();
      expect(proofs.find(({ name }) => name === "regularizer-in-training-only")!.detail).toMatchObject({
        steps: 12,
        withRegularizer: config === "off" ? 12 : 0,
      });
    }
  }, 60_000);

  it.each(["random", "magnitude"])("%s is told no gradients, and says so", async (name) => {
    const set = [...SMALL, `configs={x: {${ADA}, allocator: ${name}, gradients: raw}}`];
    await expect(loadStudy("planted", { set })).rejects.toThrow(
      `"configs.x.gradients" says what an allocator sees, and "${name}" looks at none; leave it out`,
    );
  });
});

describe("allocators that look before the first step", () => {
  const LORA = "method: lora, r: 2, alpha: 4, target: [value, intermediate.dense], train: {lr: 1e-2}";

  it("know the truth where the task does, and share out LoRA's ranks at one scale", async () => {
    const { results, failures } = await run(
      `{ada: {${ADA}, allocator: oracle}, eva: {${ADA}, allocator: explained-variance}, oracle: {${LORA.replace("r: 2, alpha: 4", "r: 1, alpha: 2")}, allocator: oracle}, random: {${LORA}, allocator: random}}`,
      [1, 2],
    );
    expect(failures).toEqual([]);
    expect(results.flatMap(({ proofs }) => proofs.filter(({ holds }) => !holds))).toEqual([]);
    const of = (config: string, seed: number): (typeof results)[number] =>
      results.find((r) => r.config === config && r.seed === seed)!;
    // two of four modules have two ranks each
    const truth = [2, 0, 2, 0];
    for (const seed of [1, 2]) {
      expect(of("ada", seed).allocation).toMatchObject({ method: "oracle", kept: 4 });
      expect(of("ada", seed).allocation!.modules.map(({ kept }) => kept)).toEqual(truth);
      expect(of("ada", seed).rankRecovery!.spearman).toBe(1);
      expect(
        of("oracle", seed).modules.map(({ module, rank, scale }) => [module.split(".").at(-1), rank, scale]),
      ).toEqual([
        ["value", 2, 2],
        ["value", 2, 2],
      ]);
      expect(of("eva", seed).allocation).toMatchObject({ method: "explained-variance", kept: 4, finalizedAt: 10 });
      expect(of("eva", seed).proofs.find(({ name }) => name === "regularizer-in-training-only")!.detail).toMatchObject({
        withRegularizer: 12,
      });
      expect(of("random", seed).modules.reduce((sum, { rank }) => sum + rank!, 0)).toBe(8);
      expect(new Set(of("random", seed).modules.map(({ scale }) => scale))).toEqual(new Set([2]));
      expect(of("random", seed).proofs.find(({ name }) => name === "ranks-shared-out")!.detail).toMatchObject({
        allocator: "random",
        budget: 8,
        has: 8,
      });
    }
    // explained variance draws its rows from the seed; what it keeps is told from the same base
    expect(of("random", 1).modules).not.toEqual(of("random", 2).modules);
  }, 60_000);

  it("GoRA's importances are mean |W ⊙ G|, and its ranks add up to the budget on bases in halves, too", async () => {
    const { results, failures } = await run(
      `{full: {${LORA}, allocator: gora}, half: {${LORA}, allocator: gora, storage: f16}, start: {${LORA}, init: gora, goraStep: 0.01}}`,
      [1],
    );
    expect(failures).toEqual([]);
    for (const { modules, proofs } of results) {
      expect(proofs.filter(({ holds }) => !holds)).toEqual([]);
      expect(modules.reduce((sum, { rank }) => sum + rank!, 0)).toBe(8);
      expect(modules.every(({ rank }) => rank! >= 1)).toBe(true);
    }
    const [full, , start] = results.toSorted((a, b) => a.config.localeCompare(b.config)) as [Run, Run, Run];
    // the same rows decide, so that the two differ in how B begins
    expect(start.modules).toEqual(full.modules);
    expect(start.proofs.find(({ name }) => name === "starts-with-gradients")!.detail).toMatchObject({
      budget: 8,
      step: 0.01,
    });
    await expect(run(`{nf4: {${LORA}, allocator: gora, storage: nf4}}`, [1])).rejects.toThrow(
      /"allocator" is gora, which differentiates the loss in the weights, and \S+ is quantized; it needs "storage" f32, f16 or bf16/,
    );

    // against differences of the loss, on rows by hand
    const study = await loadStudy("planted", { set: [...SMALL, `configs={x: {${LORA}}}`] });
    const [{ config }] = plannedRuns(study) as [ReturnType<typeof plannedRuns>[number]];
    const reference = await init({ device: "reference" });
    const data = await prepareTask(config, { dataFolder: "none", cacheFolder: "none" }, reference);
    const base = await data.base(1);
    const named = base.linears().find(({ path }) => path.endsWith("1.attention.self.value"))!;
    const batches = [0, 8].map((from) =>
      data.train.batch(
        Int32Array.from({ length: 8 }, (_, i) => from + i),
        { rows: 8, multiple: 1 },
        1,
      ),
    );
    const lossOf = (inputs: Record<string, Tensor>): Tensor => taskOf(config).loss(base, inputs, "mean");
    const tensors = batches.map(({ inputs }) =>
      Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, reference.tensor(v.data, v.shape, v.dtype)])),
    );
    const [got] = await readGradients(base, [{ name: named.path, weight: named.weight }], batches, lossOf, importance);
    const values = await named.weight.value.floats();
    const meanLoss = async (): Promise<number> =>
      ((await lossOf(tensors[0]!).item()) + (await lossOf(tensors[1]!).item())) / 2;
    let total = 0;
    for (const [i, value] of values.entries()) {
      const moved = async (by: number): Promise<number> => {
        const changed = Float64Array.from(values);
        changed[i]! += by;
        named.weight.parameter.write(changed);
        return meanLoss();
      };
      total += Math.abs((value * ((await moved(1e-5)) - (await moved(-1e-5)))) / 2e-5);
    }
    // central differences: the third derivative times h², and f64's rounding over h
    expect(Math.abs(got! - total / values.length)).toBeLessThanOrEqual(1e-7 * Math.max(1, got!));
    base.dispose();
    reference.close();
  }, 60_000);

  it.each([
    [
      `${LORA}, allocator: oracle`,
      "allocator oracle: the ranks of the adapted modules add up to 4, and the config has 8 in 4 modules",
    ],
    [
      `${ADA.replace("targetR: 1", "targetR: 2")}, allocator: oracle`,
      "oracle: the ranks given add up to 4, and the target is 8 (2 × 4 modules)",
    ],
  ])(
    "refuse a budget that is not the truth's sum, by its numbers: %s",
    async (words, message) => {
      await expect(run(`{x: {${words}}}`, [1])).rejects.toThrow(message);
    },
    60_000,
  );

  it("say what they cannot do", async () => {
    const load = (words: string): Promise<unknown> =>
      loadStudy("planted", { set: [...SMALL, `configs={x: {${words}}}`] });
    await expect(load(`${LORA}, allocator: sensitivity`)).rejects.toThrow(`"configs.x.allocator" is "sensitivity"`);
    await expect(load(`${LORA}, allocator: random, init: eva`)).rejects.toThrow(
      `"configs.x.init" is eva, which shares ranks out, and so does "allocator" random; leave one of them out`,
    );
    await expect(load(`${LORA}, goraStep: 1`)).rejects.toThrow(
      `"configs.x.goraStep" is for init: gora, which begins with a step along the gradient; leave it out`,
    );
    await expect(load(`${LORA}, init: gora, dora: true`)).rejects.toThrow(`"configs.x.init" is gora, and "dora" is on`);
    await expect(load(`${LORA}, allocator: random, dora: true`)).rejects.toThrow(
      `"configs.x.allocator" is random, and "dora" is on`,
    );
    // a task that knows no ranks
    const data = {} as TaskData;
    expect(() => allocators.get("oracle").share!([], { data } as never)).toThrow(
      `"allocator" is oracle, and this task does not know the ranks that are there to be found`,
    );
  });
});
