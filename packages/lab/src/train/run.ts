/**
 * One run, from a fresh base to a committed folder: adapt, prove, train, evaluate, prove again, publish. Knows nothing of
 * other runs.
 */
import { join } from "node:path";
import { savePretrained } from "@lowrank/models";
import type { AllocationRecord } from "@lowrank/peft";
import type { Device } from "@lowrank/tensor";
import type { Base } from "../bases/base.ts";
import { shapeOf } from "../bases/shape.ts";
import { baseStorage, isQuantized } from "../bases/storage.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { copyTokenizer } from "../data/word-piece.ts";
import { asInput } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { TaskData } from "../records/task.ts";
import type { Proof, RunResult } from "../store/result.ts";
import { BASE, type RunFolder } from "../store/run-store.ts";
import type { ProcessMemory } from "../study/peak-rss.ts";
import type { Progress } from "../text/progress.ts";
import { adaptBase, type AdaptedBase } from "./adapt.ts";
import { predictionLines } from "./evaluate.ts";
import { LAST_GOOD, totalSteps, train, type Workload } from "./loop.ts";
import { plannedMemory, weightBytes } from "./memory.ts";
import { dtypeProof, quantizationProof } from "./numerics-proofs.ts";
import { probe, probeFullBase } from "./probe.ts";
import {
  demand,
  fingerprints,
  finiteProof,
  moduleTableProof,
  movementProof,
  parameterCountProof,
  taskLossProof,
} from "./proofs.ts";

export interface RunRequest {
  readonly id: string;
  readonly cell: string;
  readonly name: string;
  readonly study: string;
  readonly config: ResolvedConfig;
  readonly seed: number;
}

/** What a run works with and writes to. */
export interface RunSurroundings {
  readonly device: Device;
  readonly folder: RunFolder;
  readonly progress: Progress;
  readonly memory: ProcessMemory;
  /** Receives lines about the base, the same for every run. */
  readonly once: (line: string) => void;
}

/** Trains and evaluates; writes everything but `result.json`, which it returns. */
export async function executeRun(
  request: RunRequest,
  workload: Workload,
  { device, folder, progress, memory, once }: RunSurroundings,
): Promise<RunResult> {
  const started = performance.now();
  const { config, seed } = request;
  const { method } = config;
  const { task, data, method: record } = workload;
  // a base that is drawn is nowhere else: it is kept beside the adapter, at full width where the run has it in fewer bits
  const keepsBase = config.base === null && record.leaves === "adapter";
  const keep = async ({ model: base }: Base): Promise<void> =>
    keepsBase ? savePretrained(base, join(folder.path, BASE)) : undefined;
  const fullLogits = isQuantized(method.storage)
    ? await probeFullBase(task, data, deriveSeed(seed, "init"), keep)
    : undefined;
  const model = await asInput(() =>
    data.base(deriveSeed(seed, "init"), baseStorage(method.storage, record.whole(method))),
  );
  if (model.fresh.length > 0) once(`not in the checkpoint, drawn from the seed: ${model.fresh.join(", ")}`);
  try {
    if (fullLogits === undefined) await keep(model);
    // as the adapter's file names it, which stands in a folder beside it
    if (keepsBase) model.model.origin = `../${BASE}`;
    const predicted = record.predict(shapeOf(model.model, task.kind), method);
    const quantization = await quantizationProof(
      model,
      method,
      fullLogits,
      fullLogits === undefined ? undefined : await probe(model, task, data),
    );
    const adapted = await asInput(() =>
      adaptBase(model, record, method, { seed, totalSteps: totalSteps(config, data), data }),
    );
    const before = [
      moduleTableProof(adapted.modules, predicted),
      parameterCountProof(adapted.counts, adapted.trainable, predicted),
      quantization,
    ];
    folder.event("adapted", { fresh: model.fresh, modules: adapted.modules, counts: adapted.counts, proofs: before });
    demand(before);
    const frozenBefore = await fingerprints(adapted.frozen);
    const trainableBefore = await fingerprints(adapted.trainable);

    const trained = await train(request, workload, adapted, device, folder, progress);
    const after: Proof[] = [
      movementProof(
        frozenBefore,
        await fingerprints(adapted.frozen),
        trainableBefore,
        await fingerprints(adapted.trainable),
        {
          emptied: emptied(trained.allocation),
          gradientFree: adapted.base.model.family.gradientFree,
        },
      ),
      ...taskLossProof(trained.scores),
      await finiteProof(trained.steps, adapted.trainable, trained.scores),
      dtypeProof(trained.dtypes, method),
      ...record.proofs(method, trained),
    ];
    demand(after);

    const predictions = predictionLines(trained.scores.scored);
    folder.write("predictions.jsonl", predictions.text);
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
    await adapted.save(folder.path, trained.allocation);
    keepTokenizer(data, folder);
    folder.remove(LAST_GOOD);
    const seconds = {
      total: (performance.now() - started) / 1000,
      training: trained.trainingSeconds,
      perStep: trained.medianStepSeconds,
    };
    folder.event("finished", { ...trained.final, seconds: seconds.total });
    return {
      id: request.id,
      cell: request.cell,
      name: request.name,
      study: request.study,
      config: config.name,
      method: config.method.method,
      task: config.task.name,
      seed,
      resolved: config,
      device: device.name,
      fresh: model.fresh,
      final: trained.final,
      best: trained.best,
      parameters: { ...adapted.counts, effective: effectiveCount(adapted, trained.allocation) },
      modules: adapted.modules,
      ...(trained.allocation === undefined ? {} : { allocation: trained.allocation }),
      ...report,
      ...(trained.skippedSteps === 0 && trained.lossScale === undefined
        ? {}
        : { lossScaling: { skipped: trained.skippedSteps, finalScale: trained.lossScale ?? null } }),
      steps: trained.steps,
      seconds,
      memory: {
        arenaBytes: trained.arenaBytes,
        persistentBytes: trained.persistentBytes,
        peakRssBytes: process.resourceUsage().maxRSS * 1024,
        ...(estimate === undefined ? {} : { estimatedPeakRssBytes: estimate.totalBytes }),
        split,
      },
      predictions: { sha256: predictions.sha256, labelsSha256: predictions.labelsSha256 },
      proofs: [...before, ...after],
    };
  } finally {
    model.dispose();
  }
}

/** Beside the adapter or the checkpoint, so that either can be used by itself. */
function keepTokenizer({ tokenizerFolder }: TaskData, folder: RunFolder): void {
  for (const part of ["adapter", BASE, "checkpoint"])
    if (tokenizerFolder !== undefined && folder.has(part)) copyTokenizer(tokenizerFolder, join(folder.path, part));
}

/** Singular values of modules that were left without a rank: they began as zero and are zero again. */
function emptied(record: AllocationRecord | undefined): Set<string> {
  return new Set(record?.modules.filter((m) => m.kept === 0).map((m) => `${m.module}.lora_E.default`));
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
