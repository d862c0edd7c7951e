/**
 * A run with every sink on and a server that is down, slow or erring is no slower: the median over rounds of a run's time over that of the run without
 * sinks of the same round. Who begins changes from round to round, and runs are short: a machine drifts by more than is looked for.
 */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { sunkRun, withServer, type SunkRun } from "./sunk-run.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const STATES = ["down", "silent", "cut", 429, 500] as const;
/** Long enough that the tenth of a second which a silent server gets at the end is less than the limit; `LOWRANK_SINK_EPOCHS` makes it another. */
const EPOCHS = Number(process.env["LOWRANK_SINK_EPOCHS"] ?? 80);
const ROUNDS = Number(process.env["LOWRANK_SINK_ROUNDS"] ?? 9);
const LIMIT = 1.02;

const SET = [
  "task={name: planted-rank, train: 512, dev: 32, length: 12, ranks: {query: 1}}",
  "model={hidden: 64, layers: 2, heads: 2, intermediate: 128}",
  `train={epochs: ${EPOCHS}, batchSize: 32, lr: 1e-2, evalEvery: end}`,
  "configs={lora: {method: lora, r: 4, target: [query, value]}}",
];

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

it("takes at most 1.02 times as long, whatever is wrong with the servers", async () => {
  const timed = (state: (typeof STATES)[number] | "alone"): Promise<SunkRun> =>
    state === "alone"
      ? sunkRun(device, SET, [])
      : withServer(state, (address) => sunkRun(device, SET, ["tensorboard", `mlflow=${address}`]));
  const all = ["alone", ...STATES] as const;
  for (const state of all) await timed(state);
  const rounds: Map<string, SunkRun>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const runs = new Map<string, SunkRun>();
    for (const i of all.keys()) {
      const state = all[(i + round) % all.length]!;
      runs.set(String(state), await timed(state));
    }
    rounds.push(runs);
  }
  const ratiosOf = (of: "seconds" | "processorSeconds"): Record<string, number> =>
    Object.fromEntries(
      STATES.map((state) => [
        state,
        median(rounds.map((runs) => runs.get(String(state))![of] / runs.get("alone")![of])),
      ]),
    );
  const ratios = ratiosOf("seconds");
  const base = median(rounds.map((runs) => runs.get("alone")!.seconds));
  process.stdout.write(
    `without sinks ${base.toFixed(2)} s; times as long: ${JSON.stringify(ratios)}; of the processor's time, the servers' included: ${JSON.stringify(ratiosOf("processorSeconds"))}\n`,
  );
  for (const [state, ratio] of Object.entries(ratios)) expect(ratio, state).toBeLessThanOrEqual(LIMIT);
}, 3_600_000);
