/** How a run trains: what may be said of it, and what is meant where nothing is said. */
import { z } from "zod";
import { count, fraction, passes, positive, probability } from "./numbers.ts";
import type { TrainOptions, TrainOverrides } from "./study.ts";

/** Used where neither the study nor the config says otherwise. */
export const TRAIN_DEFAULTS: TrainOptions = {
  epochs: 3,
  batchSize: 32,
  lr: 5e-4,
  weightDecay: 0.01,
  betas: [0.9, 0.999],
  eps: 1e-8,
  schedule: "linear",
  warmup: 0.06,
  clip: 1,
  evalEvery: "epoch",
};

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
    evalEvery: z.union([z.literal("epoch"), count], { error: `expected "epoch" or a number of steps` }),
  })
  .partial();
