/** The training loop of a run: steps, evaluations on their way, what is recorded of both. */
import type { AllocationRecord, AllocationStep } from "@lowrank/peft";
import { NumericsError, type CompiledInfo, type Device, type DTypeTrace } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import { RunError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Evaluation } from "../store/result.ts";
import type { RunFolder } from "../store/run-store.ts";
import type { PreparedTask } from "../tasks/task.ts";
import { breather } from "../text/breath.ts";
import { formatNumber } from "../text/format.ts";
import type { Progress } from "../text/progress.ts";
import type { AdaptedClassifier } from "./adapt.ts";
import { batchInputs, epochBatches, stepsPerEpoch } from "./batches.ts";
import { evaluator, type Scores } from "./evaluate.ts";
import { scheduleOf, trainingStep } from "./step.ts";

/** Optimizer steps of a run. */
export function totalSteps(config: ResolvedConfig, task: PreparedTask): number {
  return Math.max(1, Math.round(config.train.epochs * stepsPerEpoch(task.train, config.train.batchSize)));
}

export interface Trained {
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

/** Trainable weights at the last evaluation; kept only when a run fails. */
export const LAST_GOOD = "last-good.safetensors";
const RANKS = "ranks.csv";
const CSV_HEADER = "step,epoch,lr,train_loss,grad_norm,eval_loss,accuracy,f1,seconds";

export async function train(
  { config, seed }: { readonly config: ResolvedConfig; readonly seed: number },
  task: PreparedTask,
  adapted: AdaptedClassifier,
  device: Device,
  folder: RunFolder,
  progress: Progress,
): Promise<Trained> {
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
