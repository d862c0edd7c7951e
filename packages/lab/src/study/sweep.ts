/**
 * Tries learning rates on the training rows alone: short trainings from the same start, of the same batches, each scored by its loss on rows that
 * were held out of them. What is compared are factors on the method's own rate for so few steps; the best one is carried to the rate for the
 * whole run, since short trainings want larger rates.
 */
import { RandomStream, type Device } from "@lowrank/tensor";
import { baseStorage } from "../bases/storage.ts";
import type { ResolvedConfig } from "../config/study.ts";
import type { Examples } from "../data/examples.ts";
import { Subset } from "../data/subset.ts";
import { InputError, RunError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { deriveSeed, permutation } from "../random/seeds.ts";
import { OTHER_RATES, rateFor } from "../records/rates.ts";
import type { Scorer, TaskData } from "../records/task.ts";
import { taskOf } from "../tasks/prepare.ts";
import { adaptBase, checkSteps } from "../train/adapt.ts";
import { cursorOptions, evaluationBatches } from "../train/batches.ts";
import { evaluator } from "../train/evaluate.ts";
import { paceBySteps } from "../train/pace.ts";
import { totalSteps } from "../train/rate.ts";
import { Trainer } from "../train/trainer.ts";

/** Factors on the method's rate. */
const FACTORS = [1 / 4, 1 / 2, 1, 2, 4];
/** Each short training is a fifth of the run, within these. */
const [FEWEST, MOST] = [20, 200];
/** Share of the rows that is held out, and most of them. */
const [SHARE, MOST_ROWS] = [0.1, 512];

export interface SweepRow {
  readonly factor: number;
  /** The rate of the short training. */
  readonly tried: number;
  /** Mean loss of held-out rows after it; null where it diverged. */
  readonly loss: number | null;
  /** The rate that this means for the whole run. */
  readonly lr: number;
}

export interface Sweep {
  readonly steps: number;
  readonly heldOut: number;
  readonly rows: readonly SweepRow[];
  /** The rate of the run. */
  readonly lr: number;
}

export interface SweepContext {
  readonly data: TaskData;
  readonly device: Device;
  readonly say: (line: string) => void;
}

/** @throws InputError where there are too few rows to hold some out; RunError where every rate diverged */
export async function sweepRates(config: ResolvedConfig, seed: number, context: SweepContext): Promise<Sweep> {
  const { data, say } = context;
  const { rates = OTHER_RATES } = methods.get(config.method.method);
  const [train, heldOut] = holdOut(data.train, seed);
  const total = totalSteps(config, data);
  const steps = Math.min(total, Math.max(FEWEST, Math.min(MOST, Math.round(total / FACTORS.length))));
  const rows: SweepRow[] = [];
  for (const factor of FACTORS) {
    const tried = rounded(factor * rateFor(rates, steps, data.rate));
    const loss = await lossAt(
      { ...config, train: { ...config.train, lr: tried } },
      seed,
      steps,
      { train, heldOut },
      context,
    );
    rows.push({ factor, tried, loss, lr: rounded(factor * rateFor(rates, total, data.rate)) });
    say(
      `rate ${tried} in ${steps} steps: ${loss === null ? "diverged" : `loss ${loss.toFixed(4)}`} on ${heldOut.count} held-out rows`,
    );
  }
  const [first] = rows.filter((row) => row.loss !== null).sort((a, b) => a.loss! - b.loss!);
  if (first === undefined)
    throw new RunError(`every rate of the sweep diverged, ${rows[0]!.tried} too; give a smaller one with --lr`);
  return { steps, heldOut: heldOut.count, rows, lr: first.lr };
}

/** A seeded part of the rows that no short training sees. */
function holdOut(all: Examples, seed: number): readonly [Examples, Examples] {
  const held = Math.min(MOST_ROWS, Math.round(SHARE * all.count));
  if (held < 1)
    throw new InputError(`--sweep: ${all.count} rows are too few to hold out a tenth of them; give a rate with --lr`);
  const order = Int32Array.from(permutation(all.count, new RandomStream(seed, "sweep/held-out")));
  return [new Subset(all, order.slice(held).sort()), new Subset(all, order.slice(0, held).sort())];
}

async function lossAt(
  config: ResolvedConfig,
  seed: number,
  steps: number,
  { train, heldOut }: { readonly train: Examples; readonly heldOut: Examples },
  { data, device }: SweepContext,
): Promise<number | null> {
  const [task, method] = [taskOf(config), methods.get(config.method.method)];
  const options = { ...config.train, lr: config.train.lr! };
  checkSteps(method, config, steps);
  const storage = baseStorage(config.method, method.whole(config.method));
  const base = await data.base(deriveSeed(seed, "init"), storage);
  try {
    const adapted = await adaptBase(base, method, config.method, { seed, totalSteps: steps, data, task });
    const trainer = new Trainer(
      {
        task,
        trainable: adapted,
        examples: train,
        cursor: cursorOptions(options, train, data.multiple, seed),
        step: { ...options, dropoutSeed: deriveSeed(seed, "dropout") },
        pace: (record) => paceBySteps(options, steps, record),
      },
      device,
    );
    const evaluation = evaluator(
      {
        task,
        base,
        metrics: [],
        batches: () => evaluationBatches(heldOut, { rows: options.batchSize, multiple: data.multiple }),
        scorer: () => NO_SCORES,
      },
      device,
    );
    try {
      await trainer.run({ diverged: ({ what }) => new Diverged(what) });
      const { loss } = await evaluation.run();
      return Number.isFinite(loss) ? loss : null;
    } catch (error) {
      if (error instanceof Diverged) return null;
      throw error;
    } finally {
      trainer.dispose();
    }
  } finally {
    base.dispose();
  }
}

/** A rate that is too large is an answer, no failure. */
class Diverged extends RunError {}

/** Rates are compared by their loss, which every task has. */
const NO_SCORES: Scorer = {
  take: () => undefined,
  finish: () => ({ predictions: [], decisions: "", outputs: new Float64Array() }),
};

function rounded(rate: number): number {
  return Number(rate.toPrecision(2));
}
