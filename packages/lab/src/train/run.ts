/**
 * One run, from a fresh base to a committed folder: adapt, prove, train, evaluate, prove again, publish. Knows nothing of
 * other runs.
 */
import { join } from "node:path";
import { savePretrained } from "@lowrank/models";
import type { AllocationRecord, AllocationStep } from "@lowrank/peft";
import { NumericsError, type CompiledInfo, type Device, type DTypeTrace, type HostTensor } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import { copyTokenizer } from "../data/word-piece.ts";
import { asInput, RunError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Evaluation, Proof, RunResult } from "../store/result.ts";
import { BASE, type RunFolder } from "../store/run-store.ts";
import { EFFECTIVE_RANK, effectiveRanks, rankRecovery, type RankRecovery } from "../study/rank-recovery.ts";
import type { PlannedMemory, ProcessMemory } from "../study/peak-rss.ts";
import { plantedRank } from "../tasks/planted-rank.ts";
import type { PreparedTask } from "../tasks/task.ts";
import { breather } from "../text/breath.ts";
import { formatNumber } from "../text/format.ts";
import type { Progress } from "../text/progress.ts";
import { adaptClassifier, type AdaptedClassifier } from "./adapt.ts";
import { batchInputs, epochBatches, evaluationBatches, stepsPerEpoch } from "./batches.ts";
import type { Classifier, NamedWeight } from "./classifier.ts";
import { evaluator, predictionLines, type Scores } from "./evaluate.ts";
import { allocationProof, dtypeProof, objectiveProof, quantizationProof } from "./numerics-proofs.ts";
import { predictParameters } from "./predict.ts";
import {
  demand,
  fingerprints,
  finiteProof,
  moduleTableProof,
  movementProof,
  parameterCountProof,
  taskLossProof,
} from "./proofs.ts";
import { scheduleOf, trainingStep } from "./step.ts";
import { baseStorage, isQuantized } from "./storage.ts";

export interface RunRequest {
  readonly id: string;
  readonly cell: string;
  readonly name: string;
  readonly study: string;
  readonly config: ResolvedConfig;
  readonly seed: number;
}

/** Optimizer steps of a run. */
export function totalSteps(config: ResolvedConfig, task: PreparedTask): number {
  return Math.max(1, Math.round(config.train.epochs * stepsPerEpoch(task.train, config.train.batchSize)));
}

/**
 * Trains and evaluates; writes everything but `result.json`, which it returns.
 * @param once receives lines about the base, the same for every run
 */
export async function executeRun(
  request: RunRequest,
  task: PreparedTask,
  device: Device,
  folder: RunFolder,
  progress: Progress,
  memory: ProcessMemory,
  once: (line: string) => void,
): Promise<RunResult> {
  const started = performance.now();
  const { config, seed } = request;
  const { method } = config;
  // a base that is drawn is nowhere else: it is kept beside the adapter, at full width where the run has it in fewer bits
  const keepsBase = config.base === null && (method.method === "lora" || method.method === "adalora");
  const keep = async ({ model: base }: Classifier): Promise<void> =>
    keepsBase ? savePretrained(base, join(folder.path, BASE)) : undefined;
  const fullLogits = isQuantized(method.storage)
    ? await probeFullBase(task, deriveSeed(seed, "init"), keep)
    : undefined;
  const model = await asInput(() => task.base(deriveSeed(seed, "init"), baseStorage(method)));
  if (model.fresh.length > 0) once(`not in the checkpoint, drawn from the seed: ${model.fresh.join(", ")}`);
  try {
    if (fullLogits === undefined) await keep(model);
    // as the adapter's file names it, which stands in a folder beside it
    if (keepsBase) model.model.origin = `../${BASE}`;
    const predicted = predictParameters(model.sizes, method);
    const quantization = await quantizationProof(
      model,
      method,
      fullLogits,
      fullLogits === undefined ? undefined : await probe(model, task),
    );
    const adapted = await asInput(() => adaptClassifier(model, method, seed, totalSteps(config, task)));
    const before = [
      moduleTableProof(adapted.modules, predicted),
      parameterCountProof(adapted.counts, adapted.trainable, predicted),
      quantization,
    ];
    folder.event("adapted", { fresh: model.fresh, modules: adapted.modules, counts: adapted.counts, proofs: before });
    demand(before);
    const frozenBefore = await fingerprints(adapted.frozen);
    const trainableBefore = await fingerprints(adapted.trainable);

    const trained = await train(request, task, adapted, device, folder, progress);
    const after: Proof[] = [
      movementProof(
        frozenBefore,
        await fingerprints(adapted.frozen),
        trainableBefore,
        await fingerprints(adapted.trainable),
        {
          emptied: emptied(trained.allocation),
          gradientFree: adapted.classifier.model.family.gradientFree,
        },
      ),
      taskLossProof(trained.scores),
      await finiteProof(trained.steps, adapted.trainable, trained.scores),
      dtypeProof(trained.dtypes, method),
      allocationProof(trained.allocation, method, trained.steps),
      objectiveProof(method, trained.regularizers),
    ];
    demand(after);

    const predictions = predictionLines(trained.scores, task.dev, task.labels);
    folder.write("predictions.jsonl", predictions.text);
    const estimate = memory.with(config.name, plannedMemory(adapted, config, trained.persistentBytes, trained.plans));
    const recovery = await recoveredRanks(config, adapted, trained.allocation);
    const split = {
      frozenWeights: weightBytes(adapted.frozen),
      trainableWeights: weightBytes(adapted.trainable),
      optimizerState: trained.stateBytes,
      activationsAndGradients: trained.arenaBytes,
    };
    // from here on the adapter may be smaller than what was trained
    await adapted.save(folder.path, trained.allocation);
    keepTokenizer(task, folder);
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
      ...(recovery === undefined ? {} : { rankRecovery: recovery }),
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
function keepTokenizer({ tokenizerFolder }: PreparedTask, folder: RunFolder): void {
  for (const part of ["adapter", BASE, "checkpoint"])
    if (tokenizerFolder !== undefined && folder.has(part)) copyTokenizer(tokenizerFolder, join(folder.path, part));
}

/** What was found against what was planted. Kept ranks where they were allocated, effective ranks of the update otherwise. */
async function recoveredRanks(
  { task }: ResolvedConfig,
  adapted: AdaptedClassifier,
  record: AllocationRecord | undefined,
): Promise<RankRecovery | undefined> {
  if (task.name !== "planted-rank" || adapted.modules.length === 0) return undefined;
  const truth = new Map(adapted.modules.map(({ module }) => [module, plantedRank(task, module)]));
  if (record !== undefined)
    return rankRecovery("ranks kept by the allocator", truth, new Map(record.modules.map((m) => [m.module, m.kept])));
  return rankRecovery(EFFECTIVE_RANK, truth, effectiveRanks(await adapted.spectra()));
}

interface Trained {
  readonly steps: number;
  readonly final: Evaluation;
  readonly best: Evaluation;
  readonly scores: Scores;
  readonly trainingSeconds: number;
  readonly medianStepSeconds: number;
  readonly arenaBytes: number;
  /** Of training, then of evaluation. */
  readonly plans: readonly CompiledInfo[];
  readonly persistentBytes: number;
  readonly stateBytes: number;
  readonly dtypes: DTypeTrace | undefined;
  readonly allocation: AllocationRecord | undefined;
  readonly regularizers: readonly number[];
  readonly skippedSteps: number;
  readonly lossScale: number | undefined;
}

/** Rows that storage is compared on. */
const PROBE_ROWS = 16;

/** Logits of the first rows of the development set. */
async function probe(classifier: Classifier, task: PreparedTask): Promise<Float64Array> {
  const [batch] = evaluationBatches(task.dev, { rows: PROBE_ROWS, multiple: task.multiple, padId: task.padId });
  const { inputIds, attentionMask } = batchInputs(batch!) as Record<string, HostTensor>;
  const { device } = classifier;
  classifier.model.eval();
  return classifier
    .logits(
      device.tensor(inputIds!.data, inputIds!.shape, inputIds!.dtype),
      device.tensor(attentionMask!.data, attentionMask!.shape, attentionMask!.dtype),
    )
    .floats();
}

async function probeFullBase(
  task: PreparedTask,
  initSeed: number,
  keep: (full: Classifier) => Promise<void>,
): Promise<Float64Array> {
  const full = await task.base(initSeed);
  try {
    await keep(full);
    return await probe(full, task);
  } finally {
    full.dispose();
  }
}

/** What the process's peak is told from: for a run that was made, and for one that is planned. */
export function plannedMemory(
  adapted: AdaptedClassifier,
  { method, base }: Pick<ResolvedConfig, "method" | "base">,
  persistentBytes: number,
  plans: PlannedMemory["plans"],
): PlannedMemory {
  const atFullWidth = [...adapted.frozen, ...adapted.trainable].reduce((sum, { weight }) => sum + 4 * weight.size, 0);
  return {
    persistentBytes,
    loadedBytes: isQuantized(method.storage) ? atFullWidth : 0,
    drawn: base === null,
    trainableBytes: weightBytes(adapted.trainable),
    plans,
  };
}

function weightBytes(weights: readonly NamedWeight[]): number {
  return weights.reduce((sum, { weight }) => sum + weight.bytes, 0);
}

/** Singular values of modules that were left without a rank: they began as zero and are zero again. */
function emptied(record: AllocationRecord | undefined): Set<string> {
  return new Set(record?.modules.filter((m) => m.kept === 0).map((m) => `${m.module}.lora_E.default`));
}

/** Trained values that the final function uses: those of ranks that were not kept do nothing. */
function effectiveCount({ counts, modules }: AdaptedClassifier, record: AllocationRecord | undefined): number {
  if (record === undefined) return counts.effective;
  const kept = new Map(record.modules.map((m) => [m.module, m.kept]));
  return (
    counts.trainable -
    modules.reduce((sum, m) => sum + (m.rank - (kept.get(m.module) ?? m.rank)) * (m.in + m.out + 1), 0)
  );
}

/** Trainable weights at the last evaluation; kept only when a run fails. */
const LAST_GOOD = "last-good.safetensors";
const RANKS = "ranks.csv";
const CSV_HEADER = "step,epoch,lr,train_loss,grad_norm,eval_loss,accuracy,f1,seconds";

async function train(
  request: RunRequest,
  task: PreparedTask,
  adapted: AdaptedClassifier,
  device: Device,
  folder: RunFolder,
  progress: Progress,
): Promise<Trained> {
  const { config, seed } = request;
  const options = config.train;
  const perEpoch = stepsPerEpoch(task.train, options.batchSize);
  const total = totalSteps(config, task);
  const factor = scheduleOf(options.schedule, total, Math.round(options.warmup * total));
  const batchOptions = { rows: options.batchSize, multiple: task.multiple, padId: task.padId };
  let step = 0;
  const training = trainingStep(
    adapted,
    options,
    (finished) => options.lr * factor(finished),
    deriveSeed(seed, "dropout"),
    device,
  );
  const evaluation = evaluator(adapted.classifier, task.dev, task.labels, batchOptions, device);
  folder.append("metrics.csv", CSV_HEADER);
  const started = performance.now();
  const durations: number[] = [];
  let evaluations: Evaluation[] = [];
  let scores: Scores | undefined;
  let lossSum = 0;
  let lossCount = 0;
  const regularizers: number[] = [];

  const evaluateNow = async (lr: number, norm: number): Promise<void> => {
    scores = await evaluation.run();
    const { loss, accuracy, f1, f1Classes } = scores;
    if (!Number.isFinite(loss)) throw diverged(step, `the evaluation loss is ${loss}`, evaluations.at(-1));
    const now = { step, epoch: step / perEpoch, loss, accuracy, f1, f1Classes, examples: scores.predicted.length };
    evaluations = [...evaluations, now];
    const trainLoss = lossSum / Math.max(1, lossCount);
    [lossSum, lossCount] = [0, 0];
    const elapsed = (performance.now() - started) / 1000;
    folder.append(
      "metrics.csv",
      [step, now.epoch, lr, trainLoss, norm, loss, accuracy, f1, elapsed.toFixed(3)].join(","),
    );
    folder.event("evaluated", { ...now, trainLoss });
    folder.write(LAST_GOOD, await adapted.trainableBytes());
    progress.line(
      `epoch ${now.epoch.toFixed(2)} · train loss ${formatNumber(trainLoss, 4)} · dev loss ${formatNumber(loss, 4)} · accuracy ${formatNumber(100 * accuracy, 2)} % · F1 ${formatNumber(100 * f1, 2)} %`,
    );
  };

  const breathe = breather();
  for (let epoch = 0; step < total; epoch++) {
    for (const batch of epochBatches(task.train, batchOptions, seed, epoch)) {
      await breathe();
      const lr = options.lr * factor(step);
      const before = performance.now();
      const { loss, norm, regularizer, skipped, allocation } = await training
        .run(batchInputs(batch))
        .catch((error: unknown) => {
          throw error instanceof NumericsError
            ? new RunError(`step ${step + 1}: ${error.message}`, { cause: error })
            : error;
        });
      durations.push((performance.now() - before) / 1000);
      // a step that loss scaling skipped changed nothing and does not count; the next batch is tried at half the scale
      if (skipped) {
        folder.event("skipped", { afterStep: step, scale: training.scaler?.scale });
        continue;
      }
      step++;
      regularizers.push(regularizer);
      if (!Number.isFinite(loss)) throw diverged(step, `the loss is ${loss}`, evaluations.at(-1));
      if (!Number.isFinite(norm)) throw diverged(step, `the gradient norm is ${norm}`, evaluations.at(-1));
      // the last batch of a pass may be smaller: rows are counted, not batches
      lossSum += loss * batch.members.length;
      lossCount += batch.members.length;
      if (allocation?.selected === true) await recordRanks(folder, adapted, allocation);
      progress.update(step, `loss ${loss.toFixed(4)}`);
      const atEpochEnd = step % perEpoch === 0;
      const due = options.evalEvery === "epoch" ? atEpochEnd : step % options.evalEvery === 0;
      if (due || step === total) await evaluateNow(lr, norm);
      if (step === total) break;
    }
  }
  const persistentBytes = device.memory().persistent;
  const allocation = await adapted.allocator?.finish();
  const plans = [...training.plans(), ...evaluation.plans()];
  const [dtypes, stateBytes] = [training.dtypes(), training.stateBytes()];
  training.dispose();
  const best = evaluations.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  return {
    steps: step,
    final: evaluations.at(-1)!,
    best,
    scores: scores!,
    trainingSeconds: (performance.now() - started) / 1000,
    medianStepSeconds: median(durations),
    arenaBytes: Math.max(...plans.map((plan) => plan.arenaBytes)),
    plans,
    persistentBytes,
    stateBytes,
    dtypes,
    allocation,
    regularizers,
    skippedSteps: training.scaler?.skipped ?? 0,
    lossScale: training.scaler?.scale,
  };
}

/** One line in `ranks.csv`: budget and ranks after a choice. */
async function recordRanks(
  folder: RunFolder,
  adapted: AdaptedClassifier,
  { step, budget, kept }: AllocationStep,
): Promise<void> {
  const masks = await adapted.allocator!.masks();
  if (!folder.has(RANKS)) folder.append(RANKS, ["step", "budget", "kept", ...masks.keys()].join(","));
  folder.append(
    RANKS,
    [step, budget, kept, ...[...masks.values()].map((mask) => mask.filter(Boolean).length)].join(","),
  );
}

/** A value that is not finite ends the run: nothing that comes after it means anything. */
function diverged(step: number, what: string, lastGood: Evaluation | undefined): RunError {
  const kept =
    lastGood === undefined ? "no evaluation had succeeded before" : `${LAST_GOOD} holds step ${lastGood.step}`;
  return new RunError(`step ${step}: ${what}; ${kept}; --detect-anomaly names the operation`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
