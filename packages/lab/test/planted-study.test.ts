/** experiments/rank-allocation/planted.yaml: that its three difficulties are what planted.md promises, before anything runs. */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { planOf, shapeModel } from "../src/bases/plan.ts";
import { shapeOf, type BaseShape } from "../src/bases/shape.ts";
import { loadStudy } from "../src/config/load.ts";
import type { Study } from "../src/config/study.ts";
import { methods } from "../src/methods/registry.ts";
import { plantedRank, type PlantedRankTask } from "../src/tasks/planted-rank.ts";

const file = fileURLToPath(new URL("../../../experiments/rank-allocation/planted.yaml", import.meta.url));

describe("the study on planted ranks", () => {
  let study: Study;
  let shape: BaseShape;
  beforeAll(async () => {
    study = await loadStudy(file, { set: [] });
    const sizes = { vocab: 64, positions: 8, labels: 32 };
    shape = shapeOf(shapeModel(await planOf({ base: null, model: study.model! }, "SEQ_CLS", sizes)), "SEQ_CLS");
  });
  const rows = (config: string) =>
    methods.get(study.configs[config]!.method).predict(shape, study.configs[config]!).modules;

  it("plants as many ranks as there are to give, more into one module than the uniform rank, in sixteen modules or more", () => {
    const uniform = rows("uniform");
    expect(uniform.length).toBeGreaterThanOrEqual(16);
    const budget = uniform.reduce((sum, { rank }) => sum + rank!, 0);
    for (const [name, task] of Object.entries(study.tasks as Readonly<Record<string, PlantedRankTask>>)) {
      const truth = uniform.map(({ module }) => plantedRank(task, module));
      expect([name, truth.reduce((a, b) => a + b, 0)]).toEqual([name, budget]);
      expect(Math.max(...truth)).toBeGreaterThan(uniform[0]!.rank!);
      // each key is of one module
      expect(truth.filter((rank) => rank > 0)).toHaveLength(Object.keys(task.ranks).length);
    }
  });

  it("gives every config that budget at one scale, and reports no seed that something was chosen by", () => {
    for (const [config, options] of Object.entries(study.configs) as [string, { method: string; targetR?: number }][]) {
      const modules = rows(config);
      expect(modules.map(({ module }) => module)).toEqual(rows("uniform").map(({ module }) => module));
      if (options.method === "adalora") expect(options.targetR).toBe(rows("uniform")[0]!.rank);
      for (const { scale } of modules) expect(scale).toBeCloseTo(2, 4);
    }
    const pilot = [1, 2, 3, 4];
    const swept = Object.values(study.configs).flatMap(({ rate }) =>
      rate && "sweep" in rate ? [rate.sweep.seed] : [],
    );
    expect(study.seeds.filter((seed) => [...pilot, ...swept].includes(seed))).toEqual([]);
  });

  it("is the demo's task where it is easy", async () => {
    const demo = await loadStudy("planted-six", { set: [] });
    expect(study.tasks!["easy"]).toEqual(demo.task);
    expect(study.model).toEqual(demo.model);
    expect(study.seeds).toEqual(demo.seeds);
  });
});
