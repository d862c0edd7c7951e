/** A run with every sink on and a server that is down, slow or erring is no slower: medians of runs that follow one another in turn. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { sunkRun, withServer } from "./sunk-run.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const STATES = ["down", "silent", "cut", 429, 500] as const;
/** Long enough that the half second which a silent server gets at the end is less than the noise; `LOWRANK_SINK_EPOCHS` makes it another. */
const EPOCHS = Number(process.env["LOWRANK_SINK_EPOCHS"] ?? 40);
const ROUNDS = Number(process.env["LOWRANK_SINK_ROUNDS"] ?? 5);
const LIMIT = 1.02;

const SET = [
  "task={name: planted-rank, train: 512, dev: 32, length: 12, ranks: {query: 1}}",
  "model={hidden: 64, layers: 2, heads: 2, intermediate: 128}",
  `train={epochs: ${EPOCHS}, batchSize: 32, lr: 1e-2, evalEvery: end}`,
  "configs={lora: {method: lora, r: 4, target: [query, value]}}",
];

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

it("takes at most 1.02 times as long, whatever is wrong with the servers", async () => {
  await sunkRun(device, SET, []);
  const alone: number[] = [];
  const sunk = new Map<string, number[]>(STATES.map((state) => [String(state), []]));
  for (let round = 0; round < ROUNDS; round++) {
    alone.push((await sunkRun(device, SET, [])).seconds);
    for (const state of STATES) {
      const { seconds } = await withServer(state, (address) =>
        sunkRun(device, SET, ["tensorboard", `mlflow=${address}`]),
      );
      sunk.get(String(state))!.push(seconds);
    }
  }
  const base = median(alone);
  const ratios = Object.fromEntries([...sunk].map(([state, times]) => [state, median(times) / base]));
  process.stdout.write(`without sinks ${base.toFixed(2)} s; times as long: ${JSON.stringify(ratios)}\n`);
  for (const [state, ratio] of Object.entries(ratios)) expect(ratio, state).toBeLessThanOrEqual(LIMIT);
}, 3_600_000);
