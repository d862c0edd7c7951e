/** `lowrank.json`, beside what a run leaves: what using it again needs to know that neither PEFT's files nor transformers' say. */
import { z } from "zod";
import { validate } from "../config/validate.ts";
import type { ModelKind } from "../bases/kind.ts";
import type { NumericsOptions } from "../config/study.ts";

export const MANIFEST = "lowrank.json";

export interface Manifest {
  readonly format: 1;
  readonly library: string;
  /** Name of the task on rows. */
  readonly task: string;
  readonly kind: ModelKind;
  /** The task's own words. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What the head's outputs stand for, in order. */
  readonly labels: readonly string[];
  /** Columns by role, as the training rows had them. */
  readonly columns: Readonly<Record<string, string>>;
  /** Most tokens of a text. */
  readonly maxLength: number;
  /** Token that texts are filled up with. */
  readonly padId: number;
  /** Whether the model's own file says so. */
  readonly padOfModel: boolean;
  /** Where the base lies, as it was said, or beside this file; null where this is a model of its own. */
  readonly base: string | null;
  readonly revision: string | null;
  /** How the base was kept. */
  readonly storage: NumericsOptions["storage"];
  readonly embeddings?: NumericsOptions["embeddings"];
  /** What weights were drawn from that neither the base's files nor these hold, a pooler as a rule. */
  readonly initSeed: number;
  /** Modules that were kept at full width. */
  readonly whole: readonly string[];
  readonly precision: NumericsOptions["precision"];
}

/** What a task says of itself in it. */
export type TaskUse = Pick<
  Manifest,
  "task" | "kind" | "options" | "labels" | "columns" | "maxLength" | "padId" | "padOfModel"
>;

const names = z.array(z.string());
const schema = z.object({
  format: z.literal(1),
  library: z.string(),
  task: z.string(),
  kind: z.string(),
  options: z.record(z.string(), z.unknown()),
  labels: names,
  columns: z.record(z.string(), z.string()),
  maxLength: z.number().int().positive(),
  padId: z.number().int().min(0),
  padOfModel: z.boolean(),
  base: z.string().nullable(),
  revision: z.string().nullable(),
  storage: z.enum(["keep", "f32", "f16", "bf16", "nf4", "fp4", "int8"]),
  embeddings: z.enum(["f32", "f16", "bf16"]).optional(),
  initSeed: z.number().int().min(0),
  whole: names,
  precision: z.enum(["f32", "mixed-f16", "mixed-bf16"]),
});

/** @param source for messages @throws InputError in one line */
export function readManifest(value: unknown, source: string): Manifest {
  return validate(schema as unknown as z.ZodType<Manifest>, value, source);
}

export function writeManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
