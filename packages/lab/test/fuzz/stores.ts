/** What the lab has written itself, with digests: results, states, cached tokens. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { TokenSetBuilder, type TokenSet } from "../../src/data/token-set.ts";
import { cachedTokenSet } from "../../src/data/token-cache.ts";
import { InputError } from "../../src/errors.ts";
import { Checkpoints, type Checkpoint } from "../../src/store/checkpoints.ts";
import { writeDigests } from "../../src/store/digests.ts";
import type { RunResult } from "../../src/store/result.ts";
import { RunStore } from "../../src/store/run-store.ts";
import { encoder, folder, textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, mutateBytes, type Json } from "./mutate.ts";
import { SOUND } from "./safetensors.ts";
/** A folder with its digests, in which one file is then replaced. */
function tampered(name: string, file: string, bytes: Uint8Array): string {
  const at = join(folder, name);
  writeFileSync(join(at, file), bytes);
  return at;
}

const EVALUATION = { step: 10, epoch: 1, loss: 0.5, accuracy: 0.9, f1: 0.9, f1Classes: [1], examples: 100 };
const RESULT = {
  id: "i",
  cell: "c",
  name: "b-fp-s1",
  config: "b-fp",
  method: "lora",
  task: "t",
  seed: 1,
  device: "wasm",
  fresh: [],
  final: EVALUATION,
  best: EVALUATION,
  parameters: { trainable: 12, effective: 12, total: 48, percent: 25 },
  modules: [],
  steps: 10,
  predictions: { sha256: "a", labelsSha256: "b" },
  proofs: [],
};
const MEASURES = {
  seconds: { total: 7, training: 6, perStep: 0.6 },
  memory: {
    arenaBytes: 1,
    persistentBytes: 1,
    peakRssBytes: 1,
    split: { frozenWeights: 1, trainableWeights: 1, optimizerState: 1, activationsAndGradients: 1 },
  },
};
mkdirSync(join(folder, "store", "runs", RESULT.name), { recursive: true });

writeFileSync(join(folder, "store", "runs", RESULT.name, "result.json"), JSON.stringify(RESULT));
writeFileSync(join(folder, "store", "runs", RESULT.name, "measures.json"), JSON.stringify(MEASURES));
writeFileSync(
  join(folder, "store", "runs", RESULT.name, "config.json"),
  JSON.stringify({ study: "s", seed: 1, base: "b" }),
);
for (const file of [
  "env.json",
  "events.jsonl",
  "metrics.csv",
  "predictions.jsonl",
  "adapter/adapter_config.json",
  "adapter/adapter_model.safetensors",
]) {
  mkdirSync(dirname(join(folder, "store", "runs", RESULT.name, file)), { recursive: true });
  writeFileSync(join(folder, "store", "runs", RESULT.name, file), "");
}
writeDigests(join(folder, "store", "runs", RESULT.name));

export const resultJson: FuzzFormat = {
  name: "result.json",
  draw: (random) =>
    random.integer(8) === 0 ? encoder.encode(JSON.stringify(RESULT)) : damaged(RESULT as Json, random),
  read(bytes) {
    tampered(join("store", "runs", RESULT.name), "result.json", bytes);
    return new RunStore(join(folder, "store")).finished(RESULT.name);
  },
  senseless: (bytes, _: RunResult) =>
    textOf(bytes) === JSON.stringify(RESULT) ? undefined : "it is not what was written",
};

const STATE = { format: 1, identity: "same", step: 12, lengths: {}, seconds: { total: 4, training: 3 }, values: {} };
const trained = join(folder, "trained");
const step = join(trained, "checkpoints", "step-000012");

export const checkpoint: FuzzFormat = {
  name: "checkpoint",
  draw: (random) => (random.integer(8) === 0 ? encoder.encode(JSON.stringify(STATE)) : damaged(STATE as Json, random)),
  async read(bytes) {
    // one that is damaged has gone since
    mkdirSync(step, { recursive: true });
    writeFileSync(join(step, "state.json"), JSON.stringify(STATE));
    writeFileSync(join(step, "state.safetensors"), SOUND);
    writeDigests(step);
    tampered(join("trained", "checkpoints", "step-000012"), "state.json", bytes);
    const said: string[] = [];
    const read = await new Checkpoints(trained, { identity: "same", keep: 2 }).newest((line) => said.push(line));
    if (read === undefined) throw new InputError(said.join("; "));
    return read;
  },
  senseless: (bytes, _: Checkpoint) =>
    textOf(bytes) === JSON.stringify(STATE) ? undefined : "it is not what was written",
};

const builder = new TokenSetBuilder();
for (const row of [[1, 2, 3], [4], [70_000, 5]]) builder.push(row);
const TOKEN_SET = builder.build();
const cachePath = ((): string => {
  const at = join(folder, "cache");
  cachedTokenSet(at, "key", () => TOKEN_SET);
  return at;
})();
const cacheFile = join(cachePath, readdirSync(cachePath)[0]!);
const CACHE = Uint8Array.from(readFileSync(cacheFile));

export const tokenCache: FuzzFormat = {
  name: "token cache",
  draw: (random) => mutateBytes(CACHE, random),
  read(bytes) {
    writeFileSync(cacheFile, bytes);
    return cachedTokenSet(cachePath, "key", () => {
      throw new Error("it is there");
    });
  },
  senseless: (_, set: TokenSet) =>
    set.ids.join() === TOKEN_SET.ids.join() && set.offsets.join() === TOKEN_SET.offsets.join()
      ? undefined
      : "it is not what was written",
};
