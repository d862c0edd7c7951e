/** What a run leaves: predictions, the adapter or the checkpoint with its tokenizer, and the result that says what was done. */
import { join } from "node:path";
import { directory } from "@lowrank/models";
import type { AllocationRecord, CardFacts } from "@lowrank/peft";
import { copyTokenizer } from "../data/word-piece.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { metricNames } from "../metrics/of-evaluation.ts";
import { MANIFEST, writeManifest, type Manifest, type TaskUse } from "../records/manifest.ts";
import type { Method } from "../records/method.ts";
import type { TaskData } from "../records/task.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { RunMeasures } from "../store/measures.ts";
import type { Proof, RunResult } from "../store/result.ts";
import { LAST_GOOD } from "../store/names.ts";
import { BASE, type RunFolder } from "../store/run-store.ts";
import type { AdaptedBase } from "./adapt.ts";
import { predictionLines } from "./prediction-lines.ts";
import type { KeptWeights } from "./keep.ts";
import { tooFewRanks } from "./rank-doubts.ts";
import { plannedMemory, weightBytes } from "./memory.ts";
import { totalSteps } from "./rate.ts";
import type { RunRequest, RunSurroundings } from "./request.ts";
import type { Trained, Workload } from "./train.ts";

/** A run that has been trained and proven. */
export interface ProvenRun {
  readonly adapted: AdaptedBase;
  readonly trained: Trained;
  readonly kept: KeptWeights;
  readonly proofs: readonly Proof[];
  /** When the run began, on the clock of `performance.now`. */
  readonly started: number;
}

/** What is determined of a run, and what was measured. Where that was is for its caller to say. */
export interface PublishedRun {
  readonly result: RunResult;
  readonly measures: Omit<RunMeasures, "host">;
}

/** Writes the files and returns the result. */
export async function publishRun(
  request: RunRequest,
  { task, data, method }: Workload,
  {
    folder,
    memory,
    device,
    sinks,
    command,
  }: Pick<RunSurroundings, "folder" | "memory" | "device" | "sinks" | "command">,
  { adapted, trained, kept, proofs, started }: ProvenRun,
): Promise<PublishedRun> {
  const { config, seed } = request;
  const warnings = [...(kept.scores.scored.warnings ?? []), tooFewRanks(trained.allocation)].filter(
    (line) => line !== undefined,
  );
  const predictions = predictionLines(kept.scores.scored);
  folder.write("predictions.jsonl", predictions.text);
  sinks.artifact("predictions.jsonl", predictions.text);
  const estimate = memory.with(config.name, plannedMemory(adapted, config, trained.persistentBytes, trained.plans));
  const report = await task.report?.(config.task, {
    modules: adapted.modules.map(({ module }) => module),
    allocation: trained.allocation,
    spectra: () => adapted.spectra(),
  });
  const split = {
    frozenWeights: weightBytes(adapted.frozen),
    trainableWeights: weightBytes(adapted.trainable),
    optimizerState: trained.stateBytes,
    activationsAndGradients: trained.arenaBytes,
  };
  // from here on the adapter may be smaller than what was trained
  await adapted.save(directory(join(folder.path, method.leaves)), trained.allocation, cardOf(request, kept, command));
  await keepTokenizer(data, config, folder);
  if (data.use !== undefined)
    folder.write(`${method.leaves}/${MANIFEST}`, writeManifest(manifestOf(data.use, request, method)));
  folder.remove(LAST_GOOD);
  const seconds = {
    total: (performance.now() - started) / 1000,
    training: trained.trainingSeconds,
    perStep: trained.medianStepSeconds,
  };
  folder.event("finished", { ...kept.evaluation, seconds: seconds.total });
  const result: RunResult = {
    id: request.id,
    cell: request.cell,
    name: request.name,
    config: config.name,
    method: config.method.method,
    task: config.task.name,
    seed,
    device: device.name,
    fresh: adapted.base.fresh,
    ...(trained.start === undefined ? {} : { start: trained.start }),
    final: kept.evaluation,
    best: trained.best,
    ...(kept.by === undefined ? {} : { kept: { by: kept.by, last: trained.final } }),
    ...(trained.stoppedBy === undefined ? {} : { stopped: { by: trained.stoppedBy, of: totalSteps(config, data) } }),
    ...(warnings.length === 0 ? {} : { warnings }),
    parameters: { ...adapted.counts, effective: effectiveCount(adapted, trained.allocation) },
    modules: adapted.modules,
    ...(trained.allocation === undefined ? {} : { allocation: trained.allocation }),
    ...report,
    ...(trained.skippedSteps === 0 && trained.lossScale === undefined
      ? {}
      : { lossScaling: { skipped: trained.skippedSteps, finalScale: trained.lossScale ?? null } }),
    steps: trained.steps,
    predictions: { sha256: predictions.sha256, labelsSha256: predictions.labelsSha256 },
    proofs,
  };
  const taken = {
    arenaBytes: trained.arenaBytes,
    persistentBytes: trained.persistentBytes,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ...(estimate === undefined ? {} : { estimatedPeakRssBytes: estimate.totalBytes }),
    split,
  };
  return { result, measures: { seconds, memory: taken, speed: trained.speed } };
}

/** What the adapter's model card says of this run. */
function cardOf({ config, seed }: RunRequest, { evaluation }: KeptWeights, command: string | undefined): CardFacts {
  const { name, ...said } = config.task;
  const words = Object.entries(said).flatMap(([key, value]) => (typeof value === "string" ? [`${key} ${value}`] : []));
  const metrics = metricNames(evaluation).flatMap((metric) => {
    const value = evaluation[metric];
    return typeof value === "number" && Number.isFinite(value) ? [[metric, value] as const] : [];
  });
  return {
    data: [name, ...words].join(", "),
    metrics: Object.fromEntries(metrics),
    seed,
    ...(command === undefined ? {} : { command }),
  };
}

/** What is written beside the adapter or the checkpoint, for who uses it again. */
function manifestOf(use: TaskUse, { config, seed }: RunRequest, method: Method): Manifest {
  const { base, method: options } = config;
  const { storage, embeddings, precision } = options;
  return {
    format: 1,
    library: "lowrank",
    ...use,
    base: method.leaves === "checkpoint" ? null : (base ?? `../${BASE}`),
    revision: config.revision ?? null,
    // a checkpoint is written at full width where its weights trained
    storage: method.leaves === "checkpoint" ? "f32" : storage,
    ...(embeddings === undefined ? {} : { embeddings }),
    initSeed: deriveSeed(seed, "init"),
    whole: method.whole(options),
    precision,
  };
}

/** Beside the adapter or the checkpoint, so that either can be used by itself. */
async function keepTokenizer(
  { tokenizerFolder: from, chatTemplate }: TaskData,
  { base, revision }: Pick<ResolvedConfig, "base" | "revision">,
  folder: RunFolder,
): Promise<void> {
  for (const part of ["adapter", BASE, "checkpoint"]) {
    if (from === undefined || !folder.has(part)) continue;
    await copyTokenizer(from, join(folder.path, part), from === base ? revision : undefined);
    if (chatTemplate !== undefined) folder.write(`${part}/chat_template.jinja`, chatTemplate);
  }
}

/** Trained values that the final function uses: those of ranks that were not kept do nothing. */
function effectiveCount({ counts, modules }: AdaptedBase, record: AllocationRecord | undefined): number {
  if (record === undefined) return counts.effective;
  const kept = new Map(record.modules.map((m) => [m.module, m.kept]));
  return (
    counts.trainable -
    modules.reduce((sum, m) => sum + (m.rank! - (kept.get(m.module) ?? m.rank!)) * (m.in + m.out + 1), 0)
  );
}
