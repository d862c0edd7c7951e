/** End to end: an epoch of the lab's trainer on planted ranks, and a process from nothing to its first step. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  adaptBase,
  cursorOptions,
  DataCursor,
  evaluationBatches,
  evaluator,
  loadStudy,
  methods,
  plannedRuns,
  prepareTask,
  taskOf,
  TrainingStep,
} from "@lowrank/lab";
import { init } from "@lowrank/tensor";
import { build } from "esbuild";
import { shapeName, SMALL } from "./bert.ts";
import { forwardFlops, necessaryFlops } from "./steps.ts";
import type { Benchmark } from "./suite.ts";

const STEPS = 8;
const EVALUATION_BATCHES = 2;

/** Batching, copies to the device, training steps with dropout, then an evaluation; the data is made, plans are there from the warm-up. */
function epoch(threads: number): Benchmark {
  const { layers, hidden, batch, length } = SMALL;
  return {
    name: `epoch/bert-lora/${shapeName(SMALL)}/t${threads}`,
    unit: "GFLOP/s",
    threads,
    calls: 3,
    amount: STEPS * necessaryFlops(SMALL, "lora") + EVALUATION_BATCHES * forwardFlops(SMALL),
    async prepare() {
      const device = await init({ device: "wasm", threads });
      const set = [
        `model={hidden: ${hidden}, layers: ${layers}, heads: ${hidden / 64}, intermediate: ${4 * hidden}, dropout: 0.1}`,
        `train.batchSize=${batch}`,
        `task.length=${length}`,
        `task.train=${STEPS * batch}`,
        `task.dev=${EVALUATION_BATCHES * batch}`,
        "configs.lora.dropout=0.1",
      ];
      const { config, seed } = plannedRuns(await loadStudy("planted", { set })).find(
        (run) => run.config.name === "lora",
      )!;
      const task = taskOf(config);
      const data = await prepareTask(config, { dataFolder: "", cacheFolder: "" }, device);
      const adapted = await adaptBase(await data.base(seed), methods.get(config.method.method), config.method, {
        seed,
        totalSteps: STEPS,
        data,
        task,
      });
      const training = new TrainingStep(
        task,
        adapted,
        { ...config.train, lr: () => config.train.lr ?? 1e-3, dropoutSeed: seed },
        device,
      );
      const cursor = new DataCursor(data.train, cursorOptions(config.train, data.train, data.multiple, seed));
      const shape = { rows: batch, multiple: data.multiple };
      const evaluation = evaluator(
        {
          task,
          base: adapted.base,
          metrics: [],
          batches: () => evaluationBatches(data.dev, shape),
          scorer: (model) => data.scorer(model),
        },
        device,
      );
      return {
        async run() {
          for (let i = 0; i < STEPS; i++) await training.run(cursor.next());
          await evaluation.run();
        },
        close: () => device.close(),
      };
    },
  };
}

/** One bundled file, as an application would ship it: a source loader would be measured otherwise. */
const start: Benchmark = {
  name: "start/import",
  unit: "ms",
  amount: 1,
  threads: 1,
  calls: 5,
  async prepare() {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-start-"));
    const outfile = join(folder, "start.mjs");
    await build({
      entryPoints: [fileURLToPath(new URL("start-child.ts", import.meta.url))],
      outfile,
      bundle: true,
      minify: true,
      format: "esm",
      platform: "node",
      conditions: ["@lowrank/source"],
      logLevel: "silent",
    });
    return {
      run: () => promisify(execFile)(process.execPath, [outfile]),
      close: () => rmSync(folder, { recursive: true }),
    };
  },
};

export function epochBenchmarks(threads: readonly number[]): Benchmark[] {
  return [...threads.map(epoch), start];
}
