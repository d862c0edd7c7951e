/** Parts of methods' schemas. Names follow the field's habits in camel case (`rankPattern` is PEFT's `rank_pattern`). */
import { z } from "zod";
import { positive, probability } from "../config/numbers.ts";
import { STORAGES } from "../config/study.ts";
import { trainOverrides } from "../config/train.ts";
import type { MethodFacts } from "../records/method.ts";

/** Names of modules, or an expression that they match; where adapters sit also a word for a place (`places.ts`). */
export const names: z.ZodType<string | readonly string[]> = z.union([z.array(z.string()).min(1), z.string().min(1)], {
  error: "expected a list of module names or one regular expression",
});

/** Switches that every method has. */
export const numerics: z.ZodRawShape = {
  storage: z.enum(STORAGES).default("f32"),
  precision: z.enum(["f32", "mixed-f16", "mixed-bf16"]).default("f32"),
  gradientCheckpointing: z.boolean().default(false),
  embeddings: z.enum(["f32", "f16", "bf16"]).optional(),
  baseDropout: probability.optional(),
};

/** What a config says of training, over what its study says. */
export const train: z.ZodType = trainOverrides.default({});

/** Modules that train in full beside an adapter: the task's head, where nothing is said. */
export function modulesToSave({ head }: MethodFacts): z.ZodType {
  return z.array(z.string()).default([...head]);
}

/** Where adapters sit. */
export function targets(facts: MethodFacts): z.ZodRawShape {
  return { target: names, exclude: names.optional(), modulesToSave: modulesToSave(facts) };
}

/** Scale and dropout of updates of low rank, and where they sit. */
export function scaled(facts: MethodFacts): z.ZodRawShape {
  return { alpha: positive.default(16), dropout: probability.default(0), ...targets(facts) };
}

/** A number of steps, or a fraction of the training. */
export const steps: z.ZodNumber = z
  .number()
  .min(0)
  .refine(
    (value) => Number.isInteger(value) || value < 1,
    "expected a number of steps, or a fraction of the training below 1",
  );
