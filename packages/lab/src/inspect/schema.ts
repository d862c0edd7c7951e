/** What `lowrank inspect --json` prints, as a schema: for programs that read it, and for the test that holds us to it. */
import { z } from "zod";
import type { Inspection } from "./inspect.ts";

const count = z.number().int().min(0);
const text = z.string();
const maybe = count.nullable();
const numbers = z.record(text, z.number());

const tensor = z.strictObject({ name: text, dtype: text, shape: z.array(count), bytes: count });

const sizes = z.strictObject({
  layers: maybe,
  hidden: maybe,
  intermediate: maybe,
  heads: maybe,
  keyValueHeads: maybe,
  headDim: maybe,
  vocabulary: maybe,
  positions: maybe,
  window: maybe,
  rotary: z.strictObject({ theta: z.number(), type: text, factor: z.number().nullable() }).nullable(),
  tied: z.boolean().nullable(),
  labels: z.array(text).nullable(),
});

const tokenizer = z.strictObject({
  file: text,
  model: text.nullable(),
  vocabulary: maybe,
  special: z.record(text, text),
  maxLength: maybe,
  chatTemplate: z.boolean(),
  refused: text.nullable(),
});

const loads = z.strictObject({
  as: text.nullable(),
  task: text.nullable(),
  refused: text.nullable(),
  fresh: z.array(text),
  missing: z.array(text),
  unexpected: z.array(text),
  notBuilt: z.array(text),
  parameters: z.strictObject({ total: count, embedding: count, linear: count }).nullable(),
});

const checkpoint = z.strictObject({
  kind: z.enum(["checkpoint", "tensors", "tokenizer"]),
  where: text,
  form: z.enum(["safetensors", "gguf", "llama2.c", "pickle", "none"]),
  files: z.array(text),
  bytes: count,
  modelType: text.nullable(),
  architectures: z.array(text),
  quantization: text.nullable(),
  sizes: sizes.nullable(),
  tensors: z.array(tensor),
  weights: z.array(tensor.extend({ doubleQuantized: z.boolean() })),
  dtypes: z.array(z.strictObject({ dtype: text, tensors: count, elements: count, bytes: count })),
  metadata: z.record(text, text),
  tokenizer: tokenizer.nullable(),
  loads,
});

const adapter = z.strictObject({
  where: text,
  format: z.enum(["peft", "mlx"]),
  method: text.nullable(),
  label: text,
  rank: maybe,
  alpha: z.number().nullable(),
  rankPattern: numbers,
  alphaPattern: numbers,
  targets: z.union([z.array(text), text]).nullable(),
  modulesToSave: z.array(text),
  bias: text,
  task: text.nullable(),
  base: text.nullable(),
  modules: z.array(z.strictObject({ module: text, rank: maybe, parameters: count })),
  tensors: z.array(tensor),
  parameters: count,
  bytes: count,
  warnings: z.array(text),
  refused: text.nullable(),
});

const step = z.strictObject({ rows: count, peakBytes: count, fits: z.boolean().nullable() });

const memory = z.strictObject({
  device: text,
  addressable: count,
  available: maybe,
  length: count,
  rank: count,
  plannedLayers: z.array(count),
  ways: z.array(
    z.strictObject({
      kept: z.enum(["file", "f16", "nf4"]),
      weightBytes: count,
      forward: step,
      training: z.array(step),
    }),
  ),
});

const method = z.strictObject({
  method: text,
  label: text,
  refused: text.nullable(),
  modules: z.array(z.strictObject({ name: text, count })),
  trainable: maybe,
  saved: z.array(text),
});

const run = z.strictObject({
  name: text,
  study: text,
  config: text,
  method: text,
  task: text,
  seed: count,
  metrics: numbers,
});

/** Version 1. Fields may be added within a version; none is renamed or taken away. */
export const inspectionSchema: z.ZodType<Inspection> = z.strictObject({
  version: z.literal(1),
  kind: z.enum(["checkpoint", "adapter", "tensors", "tokenizer", "run"]),
  where: text,
  checkpoint: checkpoint.nullable(),
  adapter: adapter.nullable(),
  base: text.nullable(),
  run: run.nullable(),
  methods: z.array(method),
  memory: memory.nullable(),
});
