/**
 * Which modules an adapter takes where nothing is said: what the model's family says, and for models of no family the names that are usual.
 */
import { endsIn, type Module } from "@lowrank/nn";
import type { AdapterConfig, Method, TaskType } from "./methods/method.ts";

/** Attention's projections by the names they have in most models: for those of no family. */
export const ATTENTION_NAMES: readonly (readonly string[])[] = [["query", "value"], ["c_attn"], ["q_proj", "v_proj"]];

/** Heads by PEFT's names (`peft_model.py`), which it adds to `modules_to_save` whatever the model is. */
const USUAL_HEADS: Readonly<Partial<Record<TaskType, readonly string[]>>> = {
  SEQ_CLS: ["classifier", "score"],
  TOKEN_CLS: ["classifier", "score"],
  QUESTION_ANS: ["qa_outputs"],
};

/** The family's word. */
export function modelTypeOf({ family }: Module): string | undefined {
  return family?.modelType;
}

/** Names of the modules that PEFT takes by default; none where it has no default either. */
export function defaultTargets(
  { family }: Module,
  { targets, usualNames = [] }: Method,
  paths: readonly string[],
): readonly string[] {
  if (family !== undefined) return family.targets[targets] ?? [];
  return usualNames.find((names) => paths.some((path) => endsIn(path, names))) ?? [];
}

/**
 * What a task adds to `modules_to_save`: the head that the model's family says. PEFT's names, which its files have for every model, stay
 * beside it where they mean no other module; where they do, PEFT adds them on reading and keeps those modules as they are. A file names
 * the heads that it holds, so that only PEFT's names are added to it.
 * @param paths of all modules that have weights
 */
export function taskHeads(
  { family }: Module,
  { taskType, source }: AdapterConfig,
  paths: readonly string[],
): readonly string[] {
  const usual = taskType === undefined ? [] : (USUAL_HEADS[taskType] ?? []);
  if (taskType === undefined || family === undefined) return usual;
  const heads = family.heads[taskType] ?? [];
  const inHead = (path: string): boolean => heads.some((head) => `.${path}.`.includes(`.${head}.`));
  const kept = usual.filter((name) => paths.every((path) => !path.endsWith(name) || inHead(path)));
  const isFile = Object.keys(source).length > 0;
  return isFile ? kept : [...heads.filter((head) => !kept.some((name) => head.endsWith(name))), ...kept];
}
