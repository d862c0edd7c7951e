/** Runs that nobody made, for reports: what a report reads of a run and no more, each number said by the test. */
import { USUAL } from "./usual-settings.ts";
import { sst2 } from "../src/tasks/sst2.ts";
import type { ReportRun } from "../src/report/run.ts";

export interface SaidRun {
  readonly config: string;
  readonly seed: number;
  /** Accuracy, a share. */
  readonly accuracy: number;
  readonly study?: string;
  readonly code?: string;
  readonly right?: string;
  /** Where decisions are not said; 872. */
  readonly items?: number;
  /** What is right of each item. */
  readonly labels?: string;
  readonly lr?: number;
  readonly method?: object;
  readonly trainable?: number;
  readonly loss?: number;
}

export function reportRun(said: SaidRun): ReportRun {
  const { config, seed, accuracy, study = "small", code = "c0de".repeat(16), lr = 1e-3, trainable = 1000 } = said;
  const name = `${config}-s${seed}-00000000`;
  const final = {
    step: 10,
    epoch: 1,
    loss: said.loss ?? 1 - accuracy,
    accuracy,
    examples: said.right?.length ?? said.items ?? 872,
  };
  return {
    id: `${study} ${name} ${code}`,
    cell: name,
    name,
    study,
    config,
    method: "lora",
    task: sst2.name,
    seed,
    device: "wasm",
    code,
    commit: null,
    fresh: [],
    final,
    best: final,
    parameters: { trainable, effective: trainable, total: 100_000, percent: trainable / 1000 },
    modules: [
      { module: "encoder.layer.0.query", in: 8, out: 8, rank: 2, scale: 1, parameters: 32 },
      { module: "encoder.layer.1.query", in: 8, out: 8, rank: 6, scale: 1, parameters: 96 },
    ],
    steps: 10,
    predictions: { sha256: name, labelsSha256: name },
    proofs: [{ name: "all-finite", holds: true, detail: {} }],
    resolved: {
      ...USUAL.lora,
      name: config,
      // what the files of `report.test.ts` say of their configs a and b
      method: {
        ...USUAL.lora.method,
        target: [config === "b" ? "key" : "query"],
        r: 4,
        storage: "f16",
        ...said.method,
      },
      train: { ...USUAL.lora.train, epochs: 1, weightDecay: 0, warmup: 0, evalEvery: "end", lr },
    } as ReportRun["resolved"],
    measures: {
      seconds: { total: 100, training: 90, perStep: 0.25 },
      memory: {
        arenaBytes: 2 ** 20,
        persistentBytes: 2 ** 21,
        peakRssBytes: 2 ** 27,
        split: {
          frozenWeights: 2 ** 20,
          trainableWeights: 2 ** 18,
          optimizerState: 2 ** 19,
          activationsAndGradients: 2 ** 20,
        },
      },
      speed: { tokensPerSecond: null, gflops: null },
      host: { cpu: "none", cores: 2 },
    },
    curve: [
      [1, 0.7],
      [10, 0.7 - accuracy / 2],
    ],
    judged: () => (said.right === undefined ? undefined : { right: said.right, labels: said.labels ?? "" }),
  };
}

/** Runs of two configs, a pair for each seed. */
export function pairedRuns(a: string, x: readonly number[], b: string, y: readonly number[]): ReportRun[] {
  return x.flatMap((value, i) => [
    reportRun({ config: a, seed: i + 1, accuracy: value }),
    reportRun({ config: b, seed: i + 1, accuracy: y[i]! }),
  ]);
}
