/**
 * A store of runs that nobody trained, of the size and form of real ones: what reads stores is tried on as many as a study of a year has. The same seed
 * gives the same bytes.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { writeDigests } from "../src/store/digests.ts";
import { USUAL } from "./usual-settings.ts";

export interface SyntheticOptions {
  readonly runs: number;
  /** Steps of each; evaluated four times. */
  readonly steps?: number;
  /** Layers of six modules; BERT-base has 12. */
  readonly layers?: number;
  /** Write `SHA256SUMS`, without which no run is finished for who reads with care. */
  readonly digests?: boolean;
  /** Rows of `predictions.jsonl`. */
  readonly items?: number;
}

/** Of the code that made none of them. */
const CODE = "5e".repeat(32);
const CONFIGS = ["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"];
const KINDS = [
  "attention.self.query",
  "attention.self.key",
  "attention.self.value",
  "attention.output.dense",
  "intermediate.dense",
  "output.dense",
];

/** Writes `<out>/runs` and returns the names, all finished. */
export function writeSyntheticStore(out: string, options: SyntheticOptions): string[] {
  return Array.from({ length: options.runs }, (_, i) => {
    const config = CONFIGS[i % CONFIGS.length]!;
    return writeSyntheticRun(out, { config, seed: Math.floor(i / CONFIGS.length), ...options });
  });
}

export interface SyntheticRun extends Omit<SyntheticOptions, "runs"> {
  readonly config: string;
  readonly seed: number;
  /** How far it is; default: finished. */
  readonly at?: { readonly step: number; readonly state: "working" | "interrupted" | "failed" };
}

/** Writes one run and returns its name. */
export function writeSyntheticRun(out: string, run: SyntheticRun): string {
  const { config, seed, steps = 200, layers = 12, items = 20, at } = run;
  const random = generator(`${config} ${seed}`);
  const id = createHash("sha256").update(`${config} ${seed}`).digest("hex");
  const name = `${config}-s${seed}-${id.slice(0, 8)}`;
  const state = at?.state ?? "finished";
  const folder = join(
    out,
    "runs",
    `${{ finished: "", working: ".work-", interrupted: ".work-", failed: ".failed-" }[state]}${name}`,
  );
  mkdirSync(folder, { recursive: true });
  const write = (file: string, content: string): void => writeFileSync(join(folder, file), content);
  const writeJson = (file: string, value: unknown): void => write(file, `${JSON.stringify(value, null, 2)}\n`);
  const modules = Array.from({ length: layers }, (_, layer) =>
    KINDS.map((kind) => `bert.encoder.layer.${layer}.${kind}`),
  ).flat();
  const ada = config.includes("ada") || config.startsWith("joint");
  const done = at?.step ?? steps;
  const loss = (step: number): number => 0.25 + 0.45 * Math.exp(-step / (0.3 * steps)) + 0.03 * random();
  const accuracy = (step: number): number => 0.93 - 0.4 * Math.exp(-step / (0.2 * steps)) - 0.01 * random();
  const every = Math.max(1, Math.floor(steps / 4));
  const evaluation = (step: number) => ({
    step,
    epoch: (4 * step) / steps,
    loss: loss(step),
    accuracy: accuracy(step),
    f1: accuracy(step),
    examples: items,
  });

  writeJson("config.json", { study: "synthetic", seed, ...configOf(config, ada) });
  writeJson("env.json", {
    node: "v20.20.2",
    platform: "linux 6 x64",
    cpu: "none",
    cores: 2,
    memoryBytes: 2 ** 34,
    code: CODE,
    device: { name: "wasm" },
    threads: 2,
  });
  const event = (event: string, fields: object): string =>
    `${JSON.stringify({ time: "2026-11-27T12:00:00.000Z", event, ...fields })}\n`;
  const rows = modules.map((module) => ({ module, in: 768, out: 768, rank: 12, scale: 2, parameters: 18444 }));
  const proofs = [
    { name: "module-table", holds: true, detail: { modules: modules.length, missing: [], unexpected: [] } },
    { name: "all-finite", holds: true, detail: { stepsChecked: done, firstNonFinite: null } },
  ];
  write("events.jsonl", event("started", { id, steps }) + event("adapted", { modules: rows, proofs }));
  write(
    "steps.csv",
    [
      "step,loss,grad_norm,lr,loss_scale,budget,tokens,seconds,tokens_per_second,gflops,rss_bytes",
      ...Array.from({ length: done }, (_, i) =>
        [
          i + 1,
          loss(i + 1),
          1 + random(),
          5e-4 * (1 - i / steps),
          "",
          ada ? budget(i, steps, modules.length) : "",
          2048,
          0.2,
          10240,
          30 + random(),
          3e8,
        ].join(","),
      ),
      "",
    ].join("\n"),
  );
  const evaluations = Array.from({ length: Math.floor(done / every) }, (_, i) => evaluation((i + 1) * every));
  write(
    "metrics.csv",
    [
      "step,epoch,lr,train_loss,grad_norm,eval_loss,accuracy,f1,seconds",
      ...evaluations.map((e) =>
        [e.step, e.epoch, 1e-4, e.loss, 1.2, e.loss, e.accuracy, e.f1, (0.2 * e.step).toFixed(3)].join(","),
      ),
      "",
    ].join("\n"),
  );
  const rank = (m: number, step: number): number =>
    Math.max(0, Math.round(12 - (step / steps) * (2 + ((m * 7 + seed) % 11))));
  if (ada)
    write(
      "ranks.csv",
      [
        ["step", "budget", "kept", ...modules].join(","),
        ...Array.from({ length: Math.floor(done / 10) }, (_, i) => {
          const step = (i + 1) * 10;
          const ranks = modules.map((_, m) => rank(m, step));
          return [step, budget(step, steps, modules.length), ranks.reduce((a, b) => a + b, 0), ...ranks].join(",");
        }),
        "",
      ].join("\n"),
    );
  if (state === "working") writeJson(".lock", { host: hostname(), pid: process.pid, started: null });
  if (state === "failed") writeJson("error.json", { name: "RunError", message: "step 7: the loss is not finite" });
  if (state !== "finished") return name;

  const lines = Array.from({ length: items }, (_, index) =>
    JSON.stringify({
      index,
      label: index % 2,
      prediction: random() < 0.9 ? index % 2 : 1 - (index % 2),
      logits: [random(), random()],
    }),
  );
  write("predictions.jsonl", `${lines.join("\n")}\n`);
  const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
  const final = evaluation(steps);
  mkdirSync(join(folder, "adapter"), { recursive: true });
  writeJson("adapter/adapter_config.json", { peft_type: "LORA" });
  write("adapter/adapter_model.safetensors", "");
  writeJson("measures.json", {
    seconds: { total: 0.2 * steps, training: 0.19 * steps, perStep: 0.19 },
    memory: {
      arenaBytes: 1e8,
      persistentBytes: 2e8,
      peakRssBytes: 4e8,
      split: { frozenWeights: 1.8e8, trainableWeights: 1e7, optimizerState: 1e7, activationsAndGradients: 1e8 },
    },
    speed: { tokensPerSecond: 10240, gflops: 31 },
    host: { cpu: "none", cores: 2 },
  });
  const trainable = rows.reduce((sum, { parameters }) => sum + parameters, 0);
  writeJson("result.json", {
    id,
    cell: sha(name),
    name,
    config,
    method: ada ? "adalora" : "lora",
    task: "sst2",
    seed,
    device: "wasm",
    fresh: [],
    final,
    best: final,
    ...(seed % 50 === 49
      ? { warnings: ["every one of 20 predictions is 1: nothing was learnt that tells rows apart"] }
      : {}),
    parameters: { trainable, effective: trainable, total: 109e6, percent: (100 * trainable) / 109e6 },
    modules: rows,
    ...(ada
      ? {
          allocation: {
            method: "adalora",
            reference: "none",
            compat: "strict",
            calls: steps,
            budgets: Array.from({ length: steps }, (_, i) => budget(i, steps, modules.length)),
            choices: [],
            initialBudget: 12 * modules.length,
            targetBudget: 8 * modules.length,
            finalizedAt: null,
            kept: 8 * modules.length,
            modules: modules.map((module, m) => ({
              module,
              kept: rank(m, steps),
              mask: Array.from({ length: 12 }, (_, i) => i < rank(m, steps)),
            })),
          },
        }
      : {}),
    steps,
    predictions: { sha256: sha(lines.join("\n")), labelsSha256: sha(name) },
    proofs,
  });
  if (run.digests === true) writeDigests(folder);
  return name;
}

function configOf(name: string, ada: boolean): object {
  const usual = USUAL[ada ? "adalora" : "lora"];
  return {
    ...usual,
    name,
    task: { name: "sst2", maxLength: 64 },
    base: "checkpoints/small",
    method: {
      ...usual.method,
      target: ["query", "key", "value", "dense"],
      storage: name.includes("q4") ? "nf4" : "f16",
    },
    train: { ...usual.train, batchSize: 32, lr: 5e-4 },
  };
}

function budget(step: number, steps: number, modules: number): number {
  return Math.round(modules * (8 + 4 * (1 - step / steps) ** 3));
}

/** Numbers in [0, 1), mulberry32 of a text's hash. */
function generator(text: string): () => number {
  let state = createHash("sha256").update(text).digest().readInt32LE(0);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
