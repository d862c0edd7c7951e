/** How a run trains: what may be said of it, and what is meant where nothing is said. */
import { z } from "zod";
import { count, fraction, passes, positive, probability } from "./numbers.ts";
import type { TrainOptions, TrainOverrides } from "./study.ts";

/** Used where neither the study nor the config says otherwise. */
export const TRAIN_DEFAULTS: TrainOptions = {
  epochs: 3,
  batchSize: 32,
  weightDecay: 0.01,
  betas: [0.9, 0.999],
  eps: 1e-8,
  schedule: "linear",
  warmup: 0.06,
  clip: 1,
  evalEvery: "epoch",
};

/** Which optimizer, and what it decays. */
export const optimizerWords: z.ZodRawShape = {
  optimizer: z.enum(["adamw", "sgd"]).optional(),
  momentum: z.number().min(0).lt(1).optional(),
  decay: z.enum(["matrices", "all"]).optional(),
};

/** What is meant where a key that came later is left out. Said, it is the same run, so it is left out of what is resolved. */
const LATER: Partial<TrainOptions> = {
  grouping: "across",
  optimizer: "adamw",
  decay: "matrices",
  momentum: 0,
  keep: "last",
  evalStart: false,
};

/** Without what says nothing. */
export function withoutUsual<T extends object>(words: T): T {
  return Object.fromEntries(
    Object.entries(words).filter(
      ([key, value]) => value !== undefined && (LATER as Record<string, unknown>)[key] !== value,
    ),
  ) as T;
}

/** Words for one optimizer that another would ignore, as `key" …`. @param said what a person wrote, defaults left out */
export function optimizerTrouble(
  { optimizer = "adamw", momentum }: Pick<TrainOptions, "optimizer" | "momentum">,
  said: object,
): string | undefined {
  if (optimizer === "adamw" && momentum !== undefined)
    return `momentum" is for sgd; the optimizer is adamw, which has betas`;
  const idle = optimizer === "sgd" ? ["betas", "eps"].find((key) => key in said) : undefined;
  return idle === undefined ? undefined : `${idle}" is for adamw; the optimizer is sgd`;
}

export const trainOverrides: z.ZodType<TrainOverrides> & { default(value: TrainOverrides): z.ZodType } = z
  .strictObject({
    epochs: passes,
    batchSize: count,
    lr: positive,
    weightDecay: z.number().min(0),
    betas: z.tuple([probability, probability]),
    eps: positive,
    schedule: z.enum(["linear", "cosine", "constant"]),
    warmup: fraction,
    clip: positive.nullable(),
    microBatch: count,
    grouping: z.enum(["none", "within-batch", "across"]),
    ...optimizerWords,
    evalEvery: z.union([z.literal("epoch"), z.literal("end"), count], {
      error: `expected "epoch", "end" or a number of steps`,
    }),
    evalStart: z.boolean(),
    earlyStop: z.strictObject({
      metric: z.string().min(1).optional(),
      patience: count,
      minDelta: z.number().min(0).default(0),
    }),
    keep: z.enum(["last", "best"]),
  })
  .partial();
