/** The training of a run: a trainer, evaluations on its way, and what is written of both. */
import type { AllocationRecord, AllocationStep } from "@lowrank/peft";
import type { CompiledInfo, Device, DTypeTrace } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import type { RowOrder } from "../data/orders.ts";
import { DivergedError, type RunError } from "../errors.ts";
import { metricOf, metricWords } from "../metrics/of-evaluation.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Method } from "../records/method.ts";
import type { Metric } from "../records/metric.ts";
import type { Task, TaskData } from "../records/task.ts";
import type { Evaluation } from "../store/result.ts";
import { LAST_GOOD } from "../store/names.ts";
import type { RunFolder } from "../store/run-store.ts";
import { formatNumber } from "../text/format.ts";
import type { AdaptedBase } from "./adapt.ts";
import { anomalyIn, UNNAMED } from "./anomaly.ts";
import { cursorOptions, devBatches, stepsPerEpoch } from "./batches.ts";
import { evaluator, type Scores } from "./evaluate.ts";
import type { BestWeights } from "./best-weights.ts";
import { Checkpointing } from "./checkpointing.ts";
import { evaluationOf, Evaluations, type EvaluationReport } from "./evaluations.ts";
import { Monitor, type Speed } from "./monitor.ts";
import { paceBySteps } from "./pace.ts";
import { rateOf, totalSteps } from "./rate.ts";
import type { RunRequest, RunSurroundings } from "./request.ts";
import { Selection } from "./selection.ts";
import { Stop } from "./stop.ts";
import { Trainer, type Divergence, type Watcher } from "./trainer.ts";

/** What of it a training knows. */
export interface TrainWorkload extends Omit<Workload, "task"> {
  readonly task: Pick<Task, "loss" | "outputs">;
}

/** Where a training writes, and who is told of it. */
export interface TrainSurroundings extends Pick<RunSurroundings, "device" | "progress" | "sinks" | "checkpoints"> {
  readonly folder: Pick<RunFolder, "append" | "event" | "has" | "replace">;
  /** When the run began, on the clock of `performance.now`. */
  readonly started: number;
}

/** The records that a run is made of, and its data. */
export interface Workload {
  readonly task: Task;
  readonly data: TaskData;
  readonly metrics: readonly Metric[];
  readonly method: Method;
  /** An order of rows in place of the study's: a comparison with another program has one. */
  readonly order?: RowOrder;
  /** Values that weights which train begin with, by name, row-major, in place of those that were drawn. */
  readonly initial?: ReadonlyMap<string, ArrayLike<number>>;
}

export interface Trained {
  readonly steps: number;
  /** Before the first step; present where the config asks for it. */
  readonly start?: Evaluation;
  /** After the last step. */
  readonly final: Evaluation;
  readonly best: Evaluation;
  readonly scores: Scores;
  /** Present where evaluations that got no better ended it: what was compared. */
  readonly stoppedBy?: string;
  /** Present where the best weights are to be kept. */
  readonly bestWeights?: BestWeights;
  /** Evaluates the weights as they are now. @param step at which they were so */
  evaluate(step: number): Promise<{ readonly now: Evaluation; readonly scores: Scores }>;
  readonly trainingSeconds: number;
  readonly medianStepSeconds: number;
  readonly speed: Speed;
  readonly arenaBytes: number;
  /** Of training, then of evaluation. */
  readonly plans: readonly CompiledInfo[];
  readonly persistentBytes: number;
  readonly stateBytes: number;
  readonly dtypes: DTypeTrace | undefined;
  readonly allocation: AllocationRecord | undefined;
  readonly regularizers: readonly number[];
  readonly lrScales: ReadonlyMap<string, number>;
  readonly skippedSteps: number;
  readonly lossScale: number | undefined;
}

const RANKS = "ranks.csv";

/** A run's trainer before its first step. */
export function trainerOf(
  { config, seed }: { readonly config: ResolvedConfig; readonly seed: number },
  { task, data, order, method }: Pick<TrainWorkload, "task" | "data" | "order" | "method">,
  adapted: AdaptedBase,
  device: Device,
  selection?: Selection,
): Trainer {
  const options = { ...config.train, lr: rateOf(config, method, data) };
  return new Trainer(
    {
      task,
      trainable: adapted,
      examples: data.train,
      cursor: cursorOptions(options, data.train, data.multiple, seed, order),
      step: { ...options, dropoutSeed: deriveSeed(seed, "dropout") },
      pace: (record) => paceBySteps(options, totalSteps(config, data), record),
      ...(selection === undefined ? {} : { parts: selection.parts, stops: () => selection.stops }),
    },
    device,
  );
}

export async function train(
  run: RunRequest,
  workload: TrainWorkload,
  adapted: AdaptedBase,
  { device, folder, progress, sinks, checkpoints, started: begun }: TrainSurroundings,
): Promise<Trained> {
  const { task, data, metrics } = workload;
  const { batchSize, microBatch, evalEvery, evalStart } = run.config.train;
  const selection = new Selection(run.config.train, metrics, adapted);
  const trainer = trainerOf(run, workload, adapted, device, selection);
  const { record } = trainer;
  const evaluation = evaluator(
    {
      task,
      base: adapted.base,
      metrics,
      batches: () => devBatches(data, microBatch ?? batchSize),
      scorer: (model) => data.scorer(model),
    },
    device,
  );
  const [total, perEpoch] = [totalSteps(run.config, data), stepsPerEpoch(data.train, batchSize)];
  const { judge } = selection;
  const evaluations = new Evaluations({ evaluator: evaluation, judge, record, every: evalEvery, perEpoch, total });
  const names = metrics.map(({ name }) => name);
  const from = checkpoints?.from;
  if (from !== undefined) await trainer.state.restore(from.saved);
  const { id, name, study, config, seed } = run;
  sinks.start({ id, name, study, config, seed, steps: total, resumed: record.step, metrics: names });
  if (record.step > 0) progress.from(record.step);
  const monitor = new Monitor(record, trainer.step, device);
  // over all attempts
  const started = performance.now() - 1000 * (from?.seconds.training ?? 0);
  const elapsed = (): number => (performance.now() - started) / 1000;
  /** A value that is not finite ends the run: nothing that comes after it means anything. */
  const diverged = ({ step, what, named }: Divergence): RunError => {
    const { last } = evaluations;
    const none = record.start === undefined ? "no evaluation" : "only the evaluation before the first step";
    const kept = last === undefined ? `${none} had succeeded before` : `${LAST_GOOD} holds step ${last.step}`;
    return new DivergedError(`step ${step}: ${what}; ${kept}${named ? "" : `; ${UNNAMED}`}`);
  };
  /** An evaluation whose loss is no number. */
  const unfit = async (badLoss: number): Promise<RunError> => {
    const found = await anomalyIn(device, () => evaluation.run());
    const loss = `the evaluation loss is ${badLoss}`;
    const what = found === undefined ? loss : `${loss}: ${found}`;
    return diverged({ step: record.step, what, named: found !== undefined });
  };
  const evaluateStart = async (): Promise<void> => {
    const report = evalStart === true ? await evaluations.start() : undefined;
    if (report === undefined) return;
    if ("badLoss" in report) throw await unfit(report.badLoss);
    folder.event("evaluated before the first step", { ...report.now });
    progress.between();
    progress.line(`before the first step · ${evaluationWords(report.now, names)}`);
  };
  const evaluated = async ({ now, trainLoss, lr, norm }: EvaluationReport): Promise<void> => {
    sinks.scalar(now.step, {
      epoch: now.epoch,
      lr,
      train_loss: trainLoss,
      grad_norm: norm,
      eval_loss: now.loss,
      ...Object.fromEntries(names.map((name) => [name, metricOf(now, name)])),
      seconds: elapsed(),
    });
    folder.event("evaluated", { ...now, trainLoss });
    folder.replace(LAST_GOOD, await adapted.trainableBytes());
    progress.between();
    progress.line(
      `epoch ${now.epoch.toFixed(2)} · train loss ${formatNumber(trainLoss, 4)} · ${evaluationWords(now, names)}`,
    );
  };
  const saving =
    checkpoints &&
    new Checkpointing(checkpoints, {
      state: trainer.state,
      record,
      seconds() {
        sinks.flush?.();
        return { total: (performance.now() - begun) / 1000, training: elapsed() };
      },
      saved(step, seconds) {
        folder.event("saved", { step, seconds });
        progress.between();
      },
    });
  const watcher: Watcher = {
    diverged,
    between: () => saving?.between(),
    skipped: () => folder.event("skipped", { afterStep: record.step, scale: trainer.step.scaler?.scale }),
    async stepped(result, lr) {
      const { loss, norm, allocation } = result;
      const ranks = allocation?.selected === true ? await recordRanks(folder, adapted, allocation) : {};
      sinks.scalar(record.step, { ...monitor.step(result, lr), ...ranks });
      progress.update(record.step, `loss ${loss.toFixed(4)}`);
      if (!evaluations.due) return;
      const report = await evaluations.run(lr, norm);
      if ("badLoss" in report) throw await unfit(report.badLoss);
      await evaluated(report);
      await selection.saw(report.now);
    },
  };
  const stop = checkpoints?.stop ?? new Stop();
  await stop.heeding(async () => {
    await evaluateStart();
    await trainer.run(watcher);
  });
  const stopped = selection.stops && record.step < total;
  if (stopped) {
    folder.event("stopped early", { step: record.step, of: total, by: judge.name, best: evaluations.best });
    progress.line(
      `stopped after step ${record.step} of ${total}: ${metricWords(evaluations.last!, judge.name)} is no better than ${metricWords(evaluations.best, judge.name)} of step ${evaluations.best.step}`,
    );
  }
  const persistentBytes = device.memory().persistent;
  const allocation = await adapted.allocator?.finish();
  const { step } = trainer;
  const plans = [...step.plans(), ...evaluation.plans()];
  const [dtypes, stateBytes, lrScales] = [step.dtypes(), step.stateBytes(), step.lrScales()];
  trainer.dispose();
  return {
    steps: record.step,
    ...(record.start === undefined ? {} : { start: record.start }),
    final: evaluations.last!,
    best: evaluations.best,
    scores: evaluations.scores!,
    ...(stopped ? { stoppedBy: judge.name } : {}),
    ...(selection.best === undefined ? {} : { bestWeights: selection.best }),
    async evaluate(at) {
      const scores = await evaluation.run();
      return { now: evaluationOf(scores, at, perEpoch), scores };
    },
    trainingSeconds: elapsed(),
    medianStepSeconds: median(record.durations),
    speed: monitor.speed(),
    arenaBytes: Math.max(...plans.map((plan) => plan.arenaBytes)),
    plans,
    persistentBytes,
    stateBytes,
    dtypes,
    allocation,
    regularizers: record.regularizers,
    lrScales,
    skippedSteps: step.scaler?.skipped ?? 0,
    lossScale: step.scaler?.scale,
  };
}

/** `dev loss 3.0212 · perplexity 20.5162`. */
function evaluationWords(now: Evaluation, names: readonly string[]): string {
  return [`dev loss ${formatNumber(now.loss, 4)}`, ...names.map((name) => metricWords(now, name))].join(" · ");
}

/** One line in `ranks.csv`: budget and ranks after a choice. Returns the ranks for sinks. */
async function recordRanks(
  folder: TrainSurroundings["folder"],
  adapted: AdaptedBase,
  { step, budget, kept }: AllocationStep,
): Promise<Record<`rank/${string}`, number>> {
  const masks = await adapted.allocator!.masks();
  if (!folder.has(RANKS)) folder.append(RANKS, ["step", "budget", "kept", ...masks.keys()].join(","));
  const ranks = [...masks].map(([module, mask]) => [module, mask.filter(Boolean).length] as const);
  folder.append(RANKS, [step, budget, kept, ...ranks.map(([, rank]) => rank)].join(","));
  return Object.fromEntries(ranks.map(([module, rank]) => [`rank/${module}`, rank]));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
