/** Which modules an adapter takes where nothing is said: what the model's family says, and for models of no family the attention names they have. */
import type { AdapterTargets, Module } from "@lowrank/nn";
import { endsAtDot } from "./names.ts";

/** For models that say no family. */
const BY_NAME = [["query", "value"], ["c_attn"], ["q_proj", "v_proj"]] as const;

/** The family's word. */
export function modelTypeOf({ family }: Module): string | undefined {
  return family?.modelType;
}

/** Names of the modules that PEFT takes by default; none where it has no default either. */
export function defaultTargets(
  { family }: Module,
  method: keyof AdapterTargets,
  paths: readonly string[],
): readonly string[] {
  if (family !== undefined) return family.targets[method] ?? [];
  return BY_NAME.find((names) => paths.some((path) => names.some((name) => endsAtDot(path, name)))) ?? [];
}
