/** Language modelling from scratch on one device, masked or causal: a configuration of the trainer. Resumable; with a time budget the learning rate decays over the time. */
import { appendFileSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { savePretrained } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { drawBase } from "../bases/make.ts";
import { drawnPlan, shapeModel, type BasePlan } from "../bases/plan.ts";
import { shapeOf } from "../bases/shape.ts";
import type { Base } from "../bases/base.ts";
import { canonicalHash } from "../config/canonical.ts";
import { DataCursor } from "../data/cursor.ts";
import { byTokens } from "../data/orders.ts";
import { fileSize } from "../data/read-file.ts";
import { InputError, RunError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { TaskData } from "../records/task.ts";
import { Checkpoints, type Checkpoint, type Disk } from "../store/checkpoints.ts";
import type { Environment } from "../store/environment.ts";
import { lockFolder } from "../store/lock.ts";
import { requireBaseMemory, requireMemory } from "../study/needs.ts";
import { formatCount, formatDuration } from "../text/format.ts";
import { startProgress, type ProgressMode } from "../text/progress.ts";
import { CHECKPOINT_DEFAULTS, Checkpointing } from "../train/checkpointing.ts";
import { evaluator } from "../train/evaluate.ts";
import { paceByClock, paceBySteps } from "../train/pace.ts";
import { Stop } from "../train/stop.ts";
import { Trainer, type Watcher } from "../train/trainer.ts";
import type { PretrainConfig } from "./config.ts";
import { OBJECTIVES, type Objective, type PretrainWords } from "./objectives.ts";

export interface PretrainContext {
  /** Absent: mlm. */
  readonly objective?: keyof typeof OBJECTIVES | undefined;
  readonly device: Device;
  readonly out: string;
  readonly dataFolder: string;
  readonly cacheFolder: string;
  readonly minutes: number | undefined;
  readonly machine: Environment;
  readonly progress: ProgressMode;
  readonly say: (line: string) => void;
  /** Asked to stop, it is saved and ends with `Interrupted`. */
  readonly stop?: Stop;
  /** What checkpoints are written with; tests stop it at any call. Default: the file system. */
  readonly disk?: Disk;
  /** Told after each checkpoint that the state of this step is on disk. */
  readonly onCheckpoint?: (step: number) => void;
}

export interface PretrainOutcome {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly parameters: number;
  /** Mean cross-entropy of what is predicted of held-out text. */
  readonly heldOutLoss: number;
}

/** Batches of held-out text that are evaluated, with masks that never change. */
const HELD_OUT_BATCHES = 8;
const CURVE = "pretraining.csv";

/** Trains to the end of the steps or the minutes and writes the checkpoint. @throws InputError where another process trains in the folder */
export async function pretrain(config: PretrainConfig, context: PretrainContext): Promise<PretrainOutcome> {
  const { out, dataFolder, device, objective: predicted = "mlm" } = context;
  const objective = OBJECTIVES[predicted];
  // what is missing is said before a folder is made
  const words = await objective.words(dataFolder);
  const corpus = objective.identity(config.corpus, dataFolder);
  const plan = planOf(config, objective, words);
  requirePretrainMemory(config, { plan, objective, vocab: words.vocabSize }, device.name);
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw new InputError(
      `--out: cannot create ${out} (${(error as NodeJS.ErrnoException).code}); choose a folder you may write to`,
      { cause: error },
    );
  }
  const lock = lockFolder(out);
  try {
    // of config and data: a state of another one is not continued
    const identity = canonicalHash({
      config: { ...config, train: { ...config.train, checkpointMinutes: 0 } },
      corpus,
      tokenizer: words.identity,
    });
    refuseOldState(out);
    const { keep } = CHECKPOINT_DEFAULTS;
    const store = new Checkpoints(out, { identity, keep, ...(context.disk && { disk: context.disk }) });
    const from = await store.newest(context.say);
    const data = await objective.data(config.corpus, words, context, device);
    const base = await drawBase(plan, objective.kind, deriveSeed(config.seed, "init"), device);
    try {
      return await trainIn(config, context, { store, from, data, base, objective, words });
    } finally {
      base.dispose();
    }
  } finally {
    lock.release();
  }
}

/** Versions before wrote one state, of other parts. @throws InputError where there is one */
function refuseOldState(out: string): void {
  const [old] = ["state", ".state-previous"].map((name) => join(out, name)).filter((path) => existsSync(path));
  if (old !== undefined)
    throw new InputError(
      `--out ${out}: ${old} is the state of an older version, which this one cannot go on from; choose another folder, or delete it to begin anew`,
    );
}

function planOf({ model }: PretrainConfig, { kind }: Objective, { vocabSize }: PretrainWords): BasePlan {
  const { positions, ...sizes } = model;
  return drawnPlan({ ...sizes, seed: 0 }, kind, { vocab: vocabSize, positions, labels: 2 });
}

/** What a pre-training begins with. */
interface Beginning {
  readonly store: Checkpoints;
  readonly from: Checkpoint | undefined;
  readonly data: TaskData;
  readonly base: Base;
  readonly objective: Objective;
  readonly words: PretrainWords;
}

async function trainIn(
  config: PretrainConfig,
  context: PretrainContext,
  { store, from, data, base, objective, words }: Beginning,
): Promise<PretrainOutcome> {
  const { device, out, say, minutes, stop = new Stop() } = context;
  const { train } = config;
  const order = byTokens(data.train.lengths, train.tokensPerBatch, data.multiple, config.seed);
  const trainer = new Trainer(
    {
      task: objective.task,
      trainable: { base, trainable: base.weights() },
      examples: data.train,
      cursor: { order, multiple: data.multiple, seed: config.seed },
      step: { ...train, dropoutSeed: deriveSeed(config.seed, "dropout") },
      pace: (record) =>
        minutes === undefined ? paceBySteps(train, train.steps, record) : paceByClock(train, minutes, record),
    },
    device,
  );
  const { record } = trainer;
  const heldOut = heldOutEvaluator(config, { objective, data, base }, device);
  say(`corpus: ${formatCount(tokensOf(data, objective))} tokens, ${formatCount(order.batches)} batches per pass`);
  const curve = join(out, CURVE);
  if (from === undefined) writeFileSync(curve, "step,tokens,seconds,lr,train_loss,held_out_loss\n");
  else {
    await trainer.state.restore(from.saved);
    truncateSync(curve, from.lengths[CURVE]);
    say(`continuing from step ${formatCount(record.step)} (${formatDuration(record.seconds)} of training so far)`);
  }
  const saving = new Checkpointing(
    {
      store,
      every: { seconds: 60 * train.checkpointMinutes },
      lengths: () => ({ [CURVE]: fileSize(curve) }),
      from,
      stop,
      shown: (path) => relative(".", path) || path,
    },
    {
      state: trainer.state,
      record,
      seconds: () => ({ total: record.seconds, training: record.seconds }),
      saved: (step) => context.onCheckpoint?.(step),
    },
  );
  /** A line of the curve. */
  const look = async (): Promise<number> => {
    const { loss } = await heldOut.run();
    const { step, seconds, tokens, smoothedLoss } = record;
    appendFileSync(
      curve,
      `${[step, tokens, seconds.toFixed(1), trainer.pace.lr(step), smoothedLoss, loss].join(",")}\n`,
    );
    return loss;
  };
  const total = minutes === undefined ? train.steps : Math.round(minutes * 60);
  const progress = startProgress(context.progress, "pretrain", total);
  const done = (): number => (minutes === undefined ? record.step : Math.round(record.seconds));
  if (record.step > 0) progress.from(done());
  const watcher: Watcher = {
    diverged: ({ step, what }) =>
      new RunError(`pretraining: step ${step}: ${what}; ${store.folder} holds the last good states`),
    async between() {
      if (saving.due && stop.asked === undefined) {
        const heldOutLoss = await look();
        progress.between();
        progress.line(
          `step ${formatCount(record.step)} · train loss ${record.smoothedLoss.toFixed(4)} · held-out loss ${heldOutLoss.toFixed(4)} · ${formatDuration(record.seconds)}`,
        );
      }
      await saving.between();
    },
    stepped() {
      const { step, seconds, tokens, smoothedLoss } = record;
      progress.update(
        done(),
        `step ${step} · loss ${smoothedLoss.toFixed(3)} · ${Math.round(tokens / seconds)} tokens/s`,
      );
    },
  };
  try {
    await stop.heeding(() => trainer.run(watcher));
  } finally {
    progress.stop();
  }
  // what is finished already has its last line
  const heldOutLoss = record.step === from?.step ? (await heldOut.run()).loss : await look();
  await saving.save();
  const { step, tokens, seconds } = record;
  await words.write(out);
  await publish(base, context, config, { step, tokens, seconds, heldOutLoss });
  trainer.dispose();
  const { total: parameters } = shapeOf(base.model, base.kind);
  return { steps: step, tokens, seconds, parameters, heldOutLoss };
}

function heldOutEvaluator(
  { seed, train }: PretrainConfig,
  { objective, data, base }: Pick<Beginning, "objective" | "data" | "base">,
  device: Device,
): ReturnType<typeof evaluator> {
  const { dev, multiple, scorer } = data;
  const own = deriveSeed(seed, "held-out");
  const order = byTokens(dev.lengths, train.tokensPerBatch, multiple, own);
  const cursor = new DataCursor(dev, { order, multiple, seed: own });
  const count = Math.min(HELD_OUT_BATCHES, order.batches);
  const batches = Array.from({ length: count }, (_, at) => cursor.parts(at)).flat();
  return evaluator({ task: objective.task, base, metrics: [], batches: () => batches, scorer }, device);
}

function tokensOf({ train }: TaskData, { special }: Objective): number {
  return train.lengths.reduce((sum, length) => sum + length - special, 0);
}

/** The least that the sizes ask for: the weights, logits of what is scored. */
function requirePretrainMemory(
  { model, corpus, train }: PretrainConfig,
  { plan, objective, vocab }: { readonly plan: BasePlan; readonly objective: Objective; readonly vocab: number },
  device: string,
): void {
  requireBaseMemory(shapeOf(shapeModel(plan), objective.kind), "f32", device);
  const logits = 4 * objective.scored(corpus) * train.tokensPerBatch * vocab;
  requireMemory(
    logits + 4 * train.tokensPerBatch * Math.max(model.hidden, model.intermediate),
    device,
    `batches of ${train.tokensPerBatch} tokens ("tokensPerBatch")`,
  );
}

/** The checkpoint in Hugging Face form. */
async function publish(
  base: Base,
  context: PretrainContext,
  config: PretrainConfig,
  numbers: Record<string, number>,
): Promise<void> {
  await savePretrained(base.model, context.out);
  writeFileSync(
    join(context.out, "pretraining.json"),
    `${JSON.stringify({ objective: context.objective ?? "mlm", config, minutes: context.minutes ?? null, ...numbers, machine: context.machine }, null, 2)}\n`,
  );
}
