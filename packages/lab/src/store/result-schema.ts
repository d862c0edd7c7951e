/** What `result.json` and `config.json` must hold to be read again. */
import { z } from "zod";
import { metrics } from "../metrics/registry.ts";
import type { ResolvedConfig } from "../config/study.ts";
import type { RunResult } from "./result.ts";

const size = z.number().int().min(0);
const text = z.string().min(1);
const share = z.number().min(0).max(1);
/** JSON has no NaN; a correlation with a constant is one. */
const correlation = z
  .number()
  .min(-1.000001)
  .max(1.000001)
  .nullable()
  .transform((value) => value ?? Number.NaN);

/** What metrics say beside their values may be anything; a metric's value is a number, or null where there was nothing to count. */
const evaluation = z
  .looseObject({ step: size, epoch: z.number().min(0), loss: z.number(), examples: size })
  .superRefine((value, context) => {
    for (const name of Object.keys(value).filter((key) => metrics.has(key))) {
      const parsed = (metrics.get(name).unit === "share" ? share : z.number()).nullable().safeParse(value[name]);
      if (!parsed.success) context.addIssue({ ...parsed.error.issues[0]!, path: [name], code: "custom" });
    }
  });
const module = z.object({
  module: text,
  in: size,
  out: size,
  rank: size.optional(),
  scale: z.number().optional(),
  scales: z.enum(["input", "output"]).optional(),
  parameters: size,
});
const rankRow = z.object({ module: text, truth: size, found: size });
const allocation = z.object({
  method: z.string(),
  reference: z.string(),
  compat: z.enum(["strict", "peft"]),
  calls: size,
  budgets: z.array(z.number()),
  choices: z.array(z.tuple([z.number(), z.number()])),
  initialBudget: z.number(),
  targetBudget: z.number(),
  finalizedAt: z.number().nullable(),
  kept: size,
  modules: z.array(z.looseObject({ module: text, kept: size, mask: z.array(z.boolean()) })),
});

export const resultSchema = z.object({
  id: text,
  cell: text,
  name: text,
  config: text,
  method: text,
  task: text,
  seed: size,
  device: text,
  fresh: z.array(z.string()),
  start: evaluation.optional(),
  final: evaluation,
  best: evaluation,
  kept: z.object({ by: text, last: evaluation }).optional(),
  stopped: z.object({ by: text, of: size }).optional(),
  warnings: z.array(text).optional(),
  parameters: z.object({ trainable: size, effective: size, total: size, percent: z.number() }),
  modules: z.array(module),
  steps: size,
  allocation: allocation.optional(),
  rankRecovery: z.object({ rule: text, spearman: correlation, modules: z.array(rankRow) }).optional(),
  lossScaling: z.object({ skipped: size, finalScale: z.number().nullable() }).optional(),
  predictions: z.object({ sha256: text, labelsSha256: text }),
  proofs: z.array(z.object({ name: text, holds: z.boolean(), detail: z.record(z.string(), z.unknown()) })),
}) as unknown as z.ZodType<RunResult>;

/** `config.json`: what a run was asked for, beside the config as it was resolved. For people: what it is decided by is in its id. */
export const configSchema = z.looseObject({
  study: z.string(),
  seed: z.number(),
  base: z.string().nullable(),
}) as unknown as z.ZodType<ResolvedConfig & { readonly study: string; readonly seed: number }>;
