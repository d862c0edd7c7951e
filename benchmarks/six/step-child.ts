/** `step-child.ts CONFIG THREADS SET…`: makes a training step each time it is asked to, by a message of any kind, and answers with the seconds it took. */
import {
  adaptBase,
  baseStorage,
  loadStudy,
  methods,
  plannedRuns,
  prepareTask,
  taskOf,
  trainerOf,
  RunError,
} from "@lowrank/lab";
import { init } from "@lowrank/tensor";

const [name, threads, ...set] = process.argv.slice(2);
const device = await init({ device: "wasm", threads: Number(threads) });
const run = plannedRuns(await loadStudy("sst2-six", { set })).find(({ config }) => config.name === name)!;
const { config, seed } = run;
const [task, method] = [taskOf(config), methods.get(config.method.method)];
const data = await prepareTask(config, { dataFolder: "", cacheFolder: "" }, device);
const base = await data.base(seed, baseStorage(config.method, method.whole(config.method)));
const adapted = await adaptBase(base, method, config.method, { seed, totalSteps: 64, data, task });
const trainer = trainerOf(run, { task, data, method }, adapted, device);
let asked: (() => void) | undefined;
process.on("message", () => asked?.());
await trainer.run({
  between: () =>
    new Promise((go) => {
      asked = go;
      process.send!({ seconds: trainer.record.durations.at(-1) ?? null });
    }),
  // asked again: a step that loss scaling skips takes as long as any other
  skipped: () => undefined,
  diverged: ({ what }) => new RunError(what),
});
device.close();
process.disconnect();
