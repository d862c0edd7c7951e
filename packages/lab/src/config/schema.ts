/**
 * What a study file may say, as zod schemas. Objects are strict: an unknown key is an error.
 * Names follow the field's habits in camel case (`rankPattern` is PEFT's `rank_pattern`).
 */
import { z } from "zod";
import { metrics } from "../metrics/registry.ts";
import { tasks } from "../tasks/registry.ts";
import { count, fraction, layers, passes, positive, probability, seed } from "./numbers.ts";
import type { MethodConfig, ModelOptions, Study, TaskOptions, TrainOptions } from "./study.ts";

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

const train = z
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

const names = z.union([z.array(z.string()).min(1), z.string().min(1)], {
  error: "expected a list of module names or one regular expression",
});

const numerics = {
  storage: z.enum(["f32", "f16", "bf16", "nf4", "fp4", "int8"]).default("f32"),
  precision: z.enum(["f32", "mixed-f16", "mixed-bf16"]).default("f32"),
  gradientCheckpointing: z.boolean().default(false),
};

const modulesToSave = z.array(z.string()).default(["classifier"]);
const targets = { target: names, exclude: names.optional(), modulesToSave };
const scaled = { alpha: positive.default(16), dropout: probability.default(0), ...targets };

/** A number of steps, or a fraction of the training. */
const steps = z
  .number()
  .min(0)
  .refine(
    (value) => Number.isInteger(value) || value < 1,
    "expected a number of steps, or a fraction of the training below 1",
  );

const method = z.discriminatedUnion("method", [
  z.strictObject({
    method: z.literal("head"),
    modules: z.array(z.string()).min(1).default(["classifier"]),
    train: train.default({}),
    ...numerics,
  }),
  z.strictObject({
    method: z.literal("lora"),
    r: count.default(8),
    ...scaled,
    ...numerics,
    dora: z.boolean().default(false),
    rankPattern: z.record(z.string(), count).default({}),
    alphaPattern: z.record(z.string(), positive).default({}),
    rsLora: z.boolean().default(false),
    train: train.default({}),
  }),
  z.strictObject({
    method: z.literal("adalora"),
    initR: count.default(12),
    targetR: count.default(8),
    tinit: steps.default(0.1),
    tfinal: steps.default(0.3),
    deltaT: count.default(10),
    beta1: probability.default(0.85),
    beta2: probability.default(0.85),
    orthRegWeight: z.number().min(0).default(0.5),
    compat: z.enum(["strict", "peft"]).default("strict"),
    allocator: z
      .union([z.boolean(), z.enum(["sensitivity", "magnitude"])], {
        error: `expected true, false, "sensitivity" or "magnitude"`,
      })
      .default(true),
    ...scaled,
    ...numerics,
    train: train.default({}),
  }),
  z.strictObject({
    method: z.literal("ia3"),
    ...targets,
    feedforward: z
      .union([z.array(z.string()), z.string().min(1)], {
        error: "expected a list of module names, which may be empty, or one regular expression",
      })
      .optional(),
    ...numerics,
    train: train.default({}),
  }),
  z.strictObject({
    method: z.literal("vera"),
    r: count.default(256),
    dropout: probability.default(0),
    dInitial: z.number().default(0.1),
    projectionPrngKey: seed.default(0),
    saveProjection: z.boolean().default(true),
    target: names,
    modulesToSave,
    ...numerics,
    train: train.default({}),
  }),
  z.strictObject({ method: z.literal("full"), train: train.default({}), ...numerics }),
]) satisfies z.ZodType<MethodConfig>;

const model = z.strictObject({
  family: z.string().min(1).optional(),
  hidden: count,
  layers,
  heads: count,
  intermediate: count,
  dropout: probability.default(0.1),
  initializerRange: positive.default(0.02),
  seed: seed.default(0),
}) satisfies z.ZodType<ModelOptions>;

/** The records that are registered at the moment, by the key that names them. */
function oneOfRecords<T>(key: string, records: readonly { readonly schema: z.ZodObject }[]): z.ZodType<T> {
  const [first, ...rest] = records.map(({ schema }) => schema);
  return z.discriminatedUnion(key, [first!, ...rest] as never) as never;
}

/** Made when it is needed: plugins add tasks and metrics. */
export function studySchema(): z.ZodType<Study> {
  return z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, "use lower-case letters, digits and hyphens"),
    task: oneOfRecords<TaskOptions>("name", tasks.all),
    metrics: z
      .array(z.enum(metrics.names as [string, ...string[]]))
      .min(1)
      .optional(),
    base: z.string().min(1).optional(),
    model: model.optional(),
    seeds: z.array(seed).min(1).max(1000),
    train: train.default({}),
    configs: z
      .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, "use letters, digits, _ and -"), method)
      .refine((configs) => Object.keys(configs).length > 0, "at least one config is needed"),
  });
}
