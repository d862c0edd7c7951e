import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directory, metaModel } from "@lowrank/models";
import { loadAdapter } from "@lowrank/peft";
import { init, svd, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import type { ResolvedConfig } from "../src/config/study.ts";
import type { FinishedRun } from "../src/store/measures.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { rankPicture, summarizeRecovery } from "../src/study/rank-picture.ts";
import { effectiveRanks, rankRecovery, spearman } from "../src/statistics/rank-recovery.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { runStudy } from "../src/study/run-study.ts";
import { plantedRank, preparePlantedRank, type PlantedRankTask } from "../src/tasks/planted-rank.ts";

const SMALL = [
  "task.train=96",
  "task.dev=32",
  "task.length=6",
  "task.labels=5",
  "train.epochs=2",
  "train.batchSize=16",
  "train.evalEvery=epoch",
  "model={hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3}",
  "task.ranks={value: 2}",
  "configs={ada: {method: adalora, initR: 3, targetR: 1, target: [value, intermediate.dense], tinit: 2, tfinal: 2, deltaT: 3}, size: {method: adalora, allocator: magnitude, initR: 3, targetR: 1, target: [value, intermediate.dense], tinit: 2, tfinal: 2, deltaT: 3}, lora: {method: lora, r: 3, target: [value, intermediate.dense]}}",
];

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

describe("rank correlation", () => {
  it("is 1 for any increasing map, −1 for a decreasing one, and blind to where ties stand", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 12 }), (x) => {
        expect(
          spearman(
            x,
            x.map((v) => v ** 3 + 2 * v),
          ),
        ).toBeCloseTo(1, 12);
        expect(
          spearman(
            x,
            x.map((v) => -v),
          ),
        ).toBeCloseTo(-1, 12);
      }),
    );
    // tied places 1.5, 1.5, 3, 4 against 1, 2, 3, 4: Σ(deviations) gives 4.5/√(4.5·5)
    expect(spearman([0, 0, 1, 2], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
    expect(spearman([1, 2, 3], [7, 7, 7])).toBeNaN();
  });

  it("counts singular values from a tenth of the largest of all modules", () => {
    const ranks = effectiveRanks(
      new Map([
        ["a", [10, 1, 0.99]],
        ["b", [0.5, 0.5]],
        ["c", [0]],
      ]),
    );
    expect([...ranks]).toEqual([
      ["a", 2],
      ["b", 0],
      ["c", 0],
    ]);
  });
});

describe("the picture of ranks", () => {
  const result = (config: string, found: readonly number[]): FinishedRun =>
    ({
      config,
      resolved: {},
      rankRecovery: rankRecovery(
        "kept",
        new Map([
          ["layer.0.a", 2],
          ["layer.0.b<", 0],
        ]),
        new Map([
          ["layer.0.a", found[0]!],
          ["layer.0.b<", found[1]!],
        ]),
      ),
    }) as FinishedRun;

  it("averages over seeds, counts a run that tells nothing apart as 0, and leaves out configs without ranks", () => {
    const [row, ...rest] = summarizeRecovery([
      result("x", [3, 1]),
      result("x", [1, 1]),
      { config: "head", resolved: {} } as FinishedRun,
    ]);
    expect(rest).toEqual([]);
    expect(row!.spearman).toMatchObject({ mean: 0.5, n: 2 });
    expect(row!.modules).toMatchObject([
      { truth: 2, found: { mean: 2 }, least: 1, most: 3 },
      { truth: 0, found: { mean: 1 }, least: 1, most: 1 },
    ]);
  });

  it("has a bar for every planted and every found rank, and escapes names", () => {
    const svg = rankPicture(summarizeRecovery([result("x", [3, 1]), result("y", [2, 0])]));
    expect(svg.match(/fill="#9a9a9a"/g)).toHaveLength(4);
    expect(svg.match(/fill="#3f7fbf"/g)).toHaveLength(4);
    expect(svg).toContain("0 0.b&lt;");
    expect(svg).toMatch(/^<svg [^>]+>\n[^]*<\/svg>\n$/);
  });
});

describe("the planted-rank task", () => {
  const prepare = async (...set: string[]) => {
    const { config } = plannedRuns(await loadStudy("planted-rank", { set: [...SMALL, ...set] }))[0]!;
    return { config, task: await preparePlantedRank(config.task as PlantedRankTask, config, undefined, device) };
  };

  it("labels by what stands out among more than two labels", async () => {
    const { task } = await prepare("task.train=400");
    const counts = Array.from({ length: 5 }, (_, label) => [...task.train.labels].filter((l) => l === label).length);
    // standardized logits make labels about equally frequent: 80 each, a binomial spread of 8
    for (const n of counts) expect(Math.abs(n - 80)).toBeLessThan(60);
    const noisy = await prepare("task.train=400", "task.noise=1");
    expect(noisy.task.train.labels.every((label, i) => label !== task.train.labels[i] && label >= 0 && label < 5)).toBe(
      true,
    );
  });

  it("starts from the teacher's head or from a fresh one", async () => {
    const head = async (config: ResolvedConfig, kind: "base" | "fresh", seed: number): Promise<Float64Array> => {
      const { task } = await prepare(`task.head=${kind}`);
      const model = await task.base(seed);
      const values = await model
        .weights()
        .find(({ name }) => name === "classifier.weight")!
        .weight.value.floats();
      model.dispose();
      return values;
    };
    const { config } = await prepare();
    expect(await head(config, "base", 1)).toEqual(await head(config, "base", 2));
    expect(await head(config, "fresh", 1)).not.toEqual(await head(config, "fresh", 2));
  });

  it("knows the planted rank of a module by the end of its path", () => {
    const ranks = { "1.attention.self.value": 4, value: 2 };
    expect(
      [
        "bert.encoder.layer.1.attention.self.value",
        "bert.encoder.layer.0.attention.self.value",
        "bert.pooler.dense",
      ].map((path) => plantedRank({ ranks }, path)),
    ).toEqual([4, 2, 0]);
  });
});

describe("a study on planted ranks", () => {
  it("records what allocators did, writes adapters of the kept ranks, correlations and the picture", async () => {
    const out = mkdtempSync(join(tmpdir(), "lowrank-ranks-"));
    const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
    const store = new RunStore(out);
    const runs = await planStudy(await loadStudy("planted-rank", { set: SMALL, seeds: [1] }), store, {
      environment,
      code: "test",
      device: device.name,
      reuse: false,
    });
    const outcome: StudyOutcome = await runStudy(runs, {
      out,
      device,
      store,
      environment,
      machine: {} as never,
      progress: "quiet",
      say: () => undefined,
    });
    expect(outcome.failures).toEqual([]);
    expect(outcome.results.flatMap((run) => run.proofs.filter((proof) => !proof.holds))).toEqual([]);
    expect(outcome.rankRecovery.map(({ config, rule }) => [config, rule.slice(0, 15)])).toEqual([
      ["ada", "ranks kept by t"],
      ["size", "ranks kept by t"],
      ["lora", "singular values"],
    ]);
    expect(existsSync(join(out, "ranks.svg"))).toBe(true);
    expect(JSON.parse(readFileSync(join(out, "results.json"), "utf8")).rankRecovery).toHaveLength(3);

    for (const [config, kind] of [
      ["ada", "adalora"],
      ["size", "magnitude"],
    ] as const) {
      const run = outcome.results.find((r) => r.config === config)!;
      // 2 epochs of 6 batches; chosen at 3, 6, 9 and, finally, 10
      expect(run.allocation).toMatchObject({
        method: kind,
        calls: 12,
        kept: 2,
        targetBudget: 2,
        initialBudget: 6,
        finalizedAt: 10,
      });
      expect(run.allocation!.choices.map(([step]) => step)).toEqual([3, 6, 9, 10]);
      const folder = join(out, "runs", run.name);
      const lines = readFileSync(join(folder, "ranks.csv"), "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split(","));
      expect(lines.map((line) => line[0])).toEqual(["step", "3", "6", "9", "10"]);
      for (const [, budget, kept, ...ranks] of lines.slice(1))
        expect([Number(kept), ranks.reduce((n, r) => n + Number(r), 0)]).toEqual([Number(budget), Number(budget)]);
      const model = metaModel("BertForSequenceClassification", {
        vocab_size: 64,
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 6,
        num_labels: 5,
      });
      await model.materialize({ device });
      const adapter = await loadAdapter(model, directory(join(folder, "adapter")), { device });
      for (const { module, kept } of run.allocation!.modules) {
        const update = adapter.updates.get(module)!.lowRank!;
        expect(update.rank).toBe(kept);
        const [rows, columns] = update.delta().shape as [number, number];
        const values = svd(await update.delta().floats(), rows, columns).s;
        expect(values.filter((v) => v > 1e-9 * Math.max(values[0]!, 1e-300)).length).toBe(kept);
      }
      model.dispose();
    }
  });
});
