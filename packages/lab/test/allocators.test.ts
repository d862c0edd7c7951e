/** Allocators as studies reach them: by name, at one budget, with the proofs of every run. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, RandomStream, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { permutation } from "../src/random/seeds.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";

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

  it.each(["random", "magnitude"])("%s is told no gradients, and says so", async (name) => {
    const set = [...SMALL, `configs={x: {${ADA}, allocator: ${name}, gradients: raw}}`];
    await expect(loadStudy("planted", { set })).rejects.toThrow(
      `"configs.x.gradients" says what an allocator sees, and "${name}" looks at none; leave it out`,
    );
  });
});
