/** What a study file may say, as a zod schema made of the registries. Objects are strict: an unknown key is an error. */
import { z } from "zod";
import { metrics } from "../metrics/registry.ts";
import { tasks } from "../tasks/registry.ts";
import { methods } from "../methods/registry.ts";
import type { MethodFacts } from "../records/method.ts";
import { claimSchema } from "./claims.ts";
import { count, layers, positive, probability, seed } from "./numbers.ts";
import type { MethodConfig, ModelOptions, Study, TaskOptions } from "./study.ts";
import { trainOverrides } from "./train.ts";

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

/** Runs that need other runs: `config/needs.ts` checks what they name. */
const from = z.strictObject({ config: z.string() });
const rate = z.union(
  [
    z.strictObject({
      sweep: z.strictObject({
        rates: z.array(positive).min(2).max(100),
        seed,
        task: z.record(z.string(), z.unknown()),
      }),
    }),
    z.strictObject({ from: z.string() }),
  ],
  { error: "expected { sweep: { rates: [1e-4, 1e-3], seed: 7, task: { … } } } or { from: CONFIG }" },
);

/** The records that are registered at the moment, by the key that names them. */
function oneOf<T>(key: string, schemas: readonly z.ZodObject[]): z.ZodType<T> {
  const [first, ...rest] = schemas;
  return z.discriminatedUnion(key, [first!, ...rest] as never) as never;
}

/** Names of configs and tasks, which are parts of names of files. */
const LABEL = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;
const LABEL_WORDS = "use letters, digits, _ and -";

/** Made when it is needed: plugins add records, and some defaults are the base's. */
export function studySchema(facts: MethodFacts): z.ZodType<Study> {
  const method = oneOf<MethodConfig>(
    "method",
    methods.all.map(({ schema, withRanks }) =>
      schema(facts).extend({ rate: rate.optional(), ...(withRanks === undefined ? {} : { from: from.optional() }) }),
    ),
  );
  const task = oneOf<TaskOptions>(
    "name",
    tasks.all.map(({ schema }) => schema),
  );
  return z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, "use lower-case letters, digits and hyphens"),
    task: task.optional(),
    tasks: z
      .record(z.string().regex(LABEL, LABEL_WORDS), task)
      .refine((of) => Object.keys(of).length > 0, "at least one task is needed")
      .optional(),
    metrics: z
      .array(z.enum(metrics.names as [string, ...string[]]))
      .min(1)
      .optional(),
    base: z.string().min(1).optional(),
    revision: z.string().min(1).optional(),
    model: model.optional(),
    seeds: z.array(seed).min(1).max(1000),
    train: trainOverrides.default({}),
    configs: z
      .record(z.string().regex(LABEL, LABEL_WORDS), method)
      .refine((configs) => Object.keys(configs).length > 0, "at least one config is needed"),
    claims: z.record(z.string().regex(LABEL, LABEL_WORDS), claimSchema).optional(),
  });
}
