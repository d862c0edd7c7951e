/** Which modules an adapter takes where nothing is said: what the model's family says, and for models of no family the names that the method knows. */
import { endsIn, type Module } from "@lowrank/nn";
import type { Method } from "./methods/method.ts";

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
