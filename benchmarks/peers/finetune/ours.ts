/**
 * lowrank's side of the comparison: the steps of `lowrank train` on a table, defaults as they are. Asked over stdin for so many steps at a time, it
 * answers a line of JSON each: real tokens, positions computed, seconds of the clock and of the processor.
 */
import { createInterface } from "node:readline";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  adaptBase,
  baseStorage,
  methods,
  plannedRuns,
  prepareTask,
  studyOf,
  taskOf,
  trainDocument,
  trainerOf,
} from "@lowrank/lab";
import { init } from "@lowrank/tensor";

const [base, data, threads] = process.argv.slice(2) as [string, string, string];
const words = {
  task: "text-classification",
  base: resolve(base),
  data: resolve(data),
  method: "lora",
  storage: "nf4",
  rank: 8,
  seed: 13,
} as const;
const study = await studyOf(await trainDocument({ ...words, epochs: 1 }), "bench");
const [{ config, seed }] = plannedRuns(study) as [ReturnType<typeof plannedRuns>[number]];
const device = await init({ device: "wasm", threads: Number(threads) });
const environment = { dataFolder: "", filesFolder: ".", cacheFolder: mkdtempSync(join(tmpdir(), "lowrank-peer-")) };
const set = await prepareTask(config, environment, device);
const [task, method] = [taskOf(config), methods.get(config.method.method)];
const model = await set.base(seed, baseStorage(config.method, method.whole(config.method)));
const adapted = await adaptBase(model, method, config.method, { seed, totalSteps: 250, data: set, task });
const { step, cursor } = trainerOf({ config, seed }, { task, data: set, method }, adapted, device);

process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  let [tokens, padded, seconds, loss] = [0, 0, 0, 0];
  const before = process.cpuUsage();
  for (let i = 0; i < Number(line); i++) {
    const started = performance.now();
    const parts = cursor.next();
    ({ loss } = await step.run(parts));
    seconds += (performance.now() - started) / 1000;
    for (const { members, rows, length } of parts) {
      padded += rows * length;
      for (const member of members) tokens += set.train.lengths[member]!;
    }
  }
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${JSON.stringify({ tokens, padded, seconds, processor: (user + system) / 1e6, loss })}\n`);
}
device.close();
