/** Masked language modelling from scratch on one device. Resumable; with a time budget the learning rate decays over the time. */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, type CompileInputs, type Device, type Tensor } from "@lowrank/tensor";
import { canonicalHash } from "../config/canonical.ts";
import { corpusIdentity, loadCorpus, loadHeldOut } from "../data/corpus.ts";
import { IGNORED } from "../data/classification.ts";
import type { MaskedBatch } from "../data/masking.ts";
import { copyTokenizer, loadWordTokenizer, tokenizerFolder, type WordTokenizer } from "../data/word-piece.ts";
import { InputError, RunError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Environment } from "../store/environment.ts";
import { lockFolder } from "../store/lock.ts";
import { requireBaseMemory, requireMemory } from "../study/needs.ts";
import { breather } from "../text/breath.ts";
import { formatCount, formatDuration } from "../text/format.ts";
import { startProgress, type ProgressMode } from "../text/progress.ts";
import { scheduleOf } from "../train/step.ts";
import type { PretrainConfig } from "./config.ts";
import { MaskedModel } from "./masked-model.ts";
import { MaskedStream } from "./order.ts";
import { type Counters, loadState, readCounters, saveState } from "./state.ts";

export interface PretrainContext {
  readonly device: Device;
  readonly out: string;
  readonly dataFolder: string;
  readonly cacheFolder: string;
  readonly minutes: number | undefined;
  readonly machine: Environment;
  readonly progress: ProgressMode;
  readonly say: (line: string) => void;
  /** Told after each checkpoint that the state of this step is on disk. */
  readonly onCheckpoint?: (step: number) => void;
}

export interface PretrainOutcome {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly parameters: number;
  /** Mean cross-entropy at masked positions of held-out text. */
  readonly heldOutLoss: number;
}

/** Batches of held-out text that are evaluated, with masks that never change. */
const HELD_OUT_BATCHES = 8;
/** Resolution of a schedule that follows the clock. */
const CLOCK_STEPS = 1_000_000;

/** Trains to the end of the steps or the minutes and writes the checkpoint. @throws InputError where another process trains in the folder */
export async function pretrain(config: PretrainConfig, context: PretrainContext): Promise<PretrainOutcome> {
  const { out, dataFolder } = context;
  // what is missing is said before a folder is made
  const tokenizer = await loadWordTokenizer(tokenizerFolder(dataFolder, null));
  const corpus = corpusIdentity({ dataFolder, sources: config.corpus.sources });
  requirePretrainMemory(config, tokenizer.vocabSize, context.device.name);
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw new InputError(
      `--out: cannot create ${out} (${(error as NodeJS.ErrnoException).code}); choose a folder you may write to`,
      { cause: error },
    );
  }
  const release = lockFolder(out);
  try {
    return await trainIn(
      config,
      context,
      tokenizer,
      canonicalHash({
        config: { ...config, train: { ...config.train, checkpointMinutes: 0 } },
        corpus,
        tokenizer: tokenizer.identity,
      }),
    );
  } finally {
    release();
  }
}

/** @param identity of config and data: a state of another one is not continued */
async function trainIn(
  config: PretrainConfig,
  context: PretrainContext,
  tokenizer: WordTokenizer,
  identity: string,
): Promise<PretrainOutcome> {
  const { device, out, say } = context;
  const data = { dataFolder: context.dataFolder, sources: config.corpus.sources };
  const resumed = readCounters(out, identity);
  const reading = {
    ...data,
    cacheFolder: context.cacheFolder,
    length: config.corpus.length,
    megabytes: config.corpus.megabytes,
    say,
  };
  const corpus = loadCorpus(reading, tokenizer);
  const streamOptions = {
    tokensPerBatch: config.train.tokensPerBatch,
    probability: config.corpus.masking,
    special: tokenizer.special,
    vocabSize: tokenizer.vocabSize,
  };
  const stream = new MaskedStream(corpus, { ...streamOptions, seed: config.seed });
  const heldOut = new MaskedStream(loadHeldOut(reading, tokenizer), {
    ...streamOptions,
    seed: deriveSeed(config.seed, "held-out"),
  });
  say(`corpus: ${formatCount(corpus.ids.length)} tokens, ${formatCount(stream.batchesPerEpoch)} batches per pass`);

  const { train } = config;
  let step = resumed?.step ?? 0;
  let seconds = resumed?.seconds ?? 0;
  let tokens = resumed?.tokens ?? 0;
  const { minutes } = context;
  const ticks = minutes === undefined ? train.steps : CLOCK_STEPS;
  const schedule = scheduleOf(train.schedule, ticks, Math.round(train.warmup * ticks));
  const lr = (): number =>
    train.lr * schedule(minutes === undefined ? step : Math.round((CLOCK_STEPS * seconds) / (60 * minutes)));
  const model = await MaskedModel.create(config, tokenizer.vocabSize, lr, device);
  const trainStep = compile(device, (inputs: Record<string, Tensor>) => model.trainStep(inputs));
  const score = compile(device, (inputs: Record<string, Tensor>) => model.score(inputs));
  if (resumed !== undefined) {
    await loadState(out, model.state());
    model.resume(step);
    say(`continuing from step ${formatCount(step)} (${formatDuration(seconds)} of training so far)`);
  }
  const evaluate = async (): Promise<number> => {
    let [sum, count] = [0, 0];
    for (let i = 0; i < Math.min(HELD_OUT_BATCHES, heldOut.batchesPerEpoch); i++) {
      const batch = heldOut.batch(i);
      sum += await (await score(maskedInputs(batch))).sum.item();
      count += batch.labels.filter((label) => label !== IGNORED).length;
    }
    return sum / count;
  };
  const done = (): boolean => (minutes === undefined ? step >= train.steps : seconds >= 60 * minutes);
  const checkpoint = async (finished: boolean): Promise<number> => {
    const heldOutLoss = await evaluate();
    const counters: Counters = { identity, step, seconds, tokens, finished };
    await saveState(out, model.state(), counters);
    appendFileSync(
      join(out, "pretraining.csv"),
      `${[step, tokens, seconds.toFixed(1), lr(), smoothed, heldOutLoss].join(",")}\n`,
    );
    return heldOutLoss;
  };

  if (!existsSync(join(out, "pretraining.csv")))
    writeFileSync(join(out, "pretraining.csv"), "step,tokens,seconds,lr,train_loss,held_out_loss\n");
  const progress = startProgress(
    context.progress,
    "pretrain",
    minutes === undefined ? train.steps : Math.round(minutes * 60),
  );
  let smoothed = Number.NaN;
  let lastCheckpoint = performance.now();
  try {
    const breathe = breather();
    while (!done()) {
      await breathe();
      const before = performance.now();
      const batch = stream.batch(step);
      const outputs = await trainStep(maskedInputs(batch));
      const [loss, norm] = [await outputs.loss.item(), await outputs.norm.item()];
      step++;
      tokens += batch.rows * batch.length;
      seconds += (performance.now() - before) / 1000;
      if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
        throw new RunError(
          `pretraining: loss ${loss} and gradient norm ${norm} at step ${step}; ${join(out, "state")} holds the last good state`,
        );
      }
      // Average over about the last fifty steps.
      smoothed = Number.isNaN(smoothed) ? loss : 0.98 * smoothed + 0.02 * loss;
      progress.update(
        minutes === undefined ? step : Math.round(seconds),
        `step ${step} · loss ${smoothed.toFixed(3)} · ${Math.round(tokens / seconds)} tokens/s`,
      );
      if (performance.now() - lastCheckpoint > train.checkpointMinutes * 60_000 && !done()) {
        const heldOutLoss = await checkpoint(false);
        progress.line(
          `step ${formatCount(step)} · train loss ${smoothed.toFixed(4)} · held-out loss ${heldOutLoss.toFixed(4)} · ${formatDuration(seconds)}`,
        );
        lastCheckpoint = performance.now();
        context.onCheckpoint?.(step);
      }
    }
  } finally {
    progress.stop();
  }
  const heldOutLoss = await checkpoint(true);
  await publish(model, context, config, { step, tokens, seconds, heldOutLoss });
  const outcome = { steps: step, tokens, seconds, parameters: model.parameterCount, heldOutLoss };
  model.dispose();
  return outcome;
}

/** The least that the sizes ask for: weights with gradients and moments, logits of what is masked. */
function requirePretrainMemory({ model, corpus, train }: PretrainConfig, vocab: number, device: string): void {
  const { hidden, intermediate, layers, positions } = model;
  const total = layers * (4 * hidden * hidden + 2 * hidden * intermediate) + (vocab + positions) * hidden;
  requireBaseMemory({ architecture: "BertForMaskedLM", total }, "f32", device);
  const logits = 4 * corpus.masking * train.tokensPerBatch * vocab;
  requireMemory(
    logits + 4 * train.tokensPerBatch * Math.max(model.hidden, model.intermediate),
    device,
    `batches of ${train.tokensPerBatch} tokens ("tokensPerBatch")`,
  );
}

/** The checkpoint in Hugging Face form, with the tokenizer beside it. */
async function publish(
  model: MaskedModel,
  context: PretrainContext,
  config: PretrainConfig,
  numbers: Record<string, number>,
): Promise<void> {
  await model.save(context.out);
  copyTokenizer(tokenizerFolder(context.dataFolder, null), context.out);
  writeFileSync(
    join(context.out, "pretraining.json"),
    `${JSON.stringify({ config, minutes: context.minutes ?? null, ...numbers, machine: context.machine }, null, 2)}\n`,
  );
}

/** `inputIds` i32, `attentionMask` bool `[rows, length]`; `positions`, `labels` i32 `[slots]`. */
function maskedInputs(batch: MaskedBatch): CompileInputs {
  const shape = [batch.rows, batch.length];
  return {
    inputIds: { data: batch.inputIds, shape, dtype: "i32" },
    attentionMask: { data: batch.attentionMask, shape, dtype: "bool" },
    positions: { data: batch.positions, shape: [batch.positions.length], dtype: "i32" },
    labels: { data: batch.labels, shape: [batch.labels.length], dtype: "i32" },
  };
}
