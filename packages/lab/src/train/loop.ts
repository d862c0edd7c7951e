/** The training loop of a run: steps, evaluations on their way, what is recorded of both. */
import type { AllocationRecord, AllocationStep } from "@lowrank/peft";
import { NumericsError, type CompiledInfo, type Device, type DTypeTrace } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import { RunError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Evaluation } from "../store/result.ts";
import { isBetter, type Metric } from "../records/metric.ts";
import type { Method } from "../records/method.ts";
import type { Task, TaskData } from "../records/task.ts";
import type { RunFolder } from "../store/run-store.ts";
import { breather } from "../text/breath.ts";
import { metricOf, metricWords } from "../metrics/of-evaluation.ts";
import { formatNumber } from "../text/format.ts";
import type { Progress } from "../text/progress.ts";
import type { AdaptedBase } from "./adapt.ts";
import { epochBatches, evaluationBatches, stepsPerEpoch } from "./batches.ts";
import { evaluator, type Scores } from "./evaluate.ts";
import { scheduleOf, trainingStep } from "./step.ts";

/** Optimizer steps of a run. */
export function totalSteps({ train }: Pick<ResolvedConfig, "train">, data: TaskData): number {
  return Math.max(1, Math.round(train.epochs * stepsPerEpoch(data.train, train.batchSize)));
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

/** The records that a run is made of, and its data. */
export interface Workload {
  readonly task: Task;
  readonly data: TaskData;
  readonly metrics: readonly Metric[];
  readonly method: Method;
}

export async function train(
  { config, seed }: { readonly config: ResolvedConfig; readonly seed: number },
  { task, data, metrics }: Workload,
  adapted: AdaptedBase,
  device: Device,
  folder: RunFolder,
  progress: Progress,
): Promise<Trained> {
  const options = config.train;
  const perEpoch = stepsPerEpoch(data.train, options.batchSize);
  const total = totalSteps(config, data);
  const factor = scheduleOf(options.schedule, total, Math.round(options.warmup * total));
  const shape = { rows: options.batchSize, multiple: data.multiple };
  let step = 0;
  const training = trainingStep(
    task,
    adapted,
    options,
    (finished) => options.lr * factor(finished),
    deriveSeed(seed, "dropout"),
    device,
  );
  const evaluation = evaluator(
    {
      task,
      base: adapted.base,
      metrics,
      batches: () => evaluationBatches(data.dev, shape),
      scorer: () => data.scorer(),
    },
    device,
  );
  const names = metrics.map(({ name }) => name);
  folder.append(
    "metrics.csv",
    ["step", "epoch", "lr", "train_loss", "grad_norm", "eval_loss", ...names, "seconds"].join(","),
  );
  const started = performance.now();
  const durations: number[] = [];
  let evaluations: Evaluation[] = [];
  let scores: Scores | undefined;
  let lossSum = 0;
  let lossCount = 0;
  const regularizers: number[] = [];

  const evaluateNow = async (lr: number, norm: number): Promise<void> => {
    scores = await evaluation.run();
    const { loss, examples } = scores;
    if (!Number.isFinite(loss)) throw diverged(step, `the evaluation loss is ${loss}`, evaluations.at(-1));
    const now: Evaluation = { step, epoch: step / perEpoch, loss, ...scores.metrics, examples };
    evaluations = [...evaluations, now];
    const trainLoss = lossSum / Math.max(1, lossCount);
    [lossSum, lossCount] = [0, 0];
    const elapsed = (performance.now() - started) / 1000;
    folder.append(
      "metrics.csv",
      [step, now.epoch, lr, trainLoss, norm, loss, ...names.map((name) => now[name]), elapsed.toFixed(3)].join(","),
    );
    folder.event("evaluated", { ...now, trainLoss });
    folder.write(LAST_GOOD, await adapted.trainableBytes());
    progress.line(
      `epoch ${now.epoch.toFixed(2)} · train loss ${formatNumber(trainLoss, 4)} · dev loss ${formatNumber(loss, 4)}${names.map((name) => ` · ${metricWords(now, name)}`).join("")}`,
    );
  };

  const breathe = breather();
  for (let epoch = 0; step < total; epoch++) {
    for (const batch of epochBatches(data.train, shape, seed, epoch)) {
      await breathe();
      const lr = options.lr * factor(step);
      const before = performance.now();
      const { loss, norm, regularizer, skipped, allocation } = await training
        .run(batch.inputs)
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
      // the last batch of a pass may be smaller: what counts is counted, not batches
      lossSum += loss * batch.counted;
      lossCount += batch.counted;
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
  const [first] = metrics;
  const best = evaluations.reduce((a, b) =>
    first !== undefined && isBetter(first, metricOf(b, first.name), metricOf(a, first.name)) ? b : a,
  );
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
  adapted: AdaptedBase,
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
