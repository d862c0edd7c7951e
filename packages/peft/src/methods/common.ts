/** The options that all methods share: how each is checked, and its default. */
import { anyOf, anything, listOf, mapOf, name, oneOf, optional, whole, type Rule } from "@lowrank/tensor/check";
import { A_METHOD } from "./method-rule.ts";
import { TASK_TYPES, type AdapterConfig, type Method, type OptionsOf } from "./method.ts";

type Rules<K extends keyof OptionsOf<AdapterConfig>> = { [Key in K]-?: Rule<OptionsOf<AdapterConfig>[Key]> };

const names: Rule<string | string[]> = anyOf(name, listOf(name));

/** Of every method. */
export const COMMON_RULES: Rules<
  | "method"
  | "bias"
  | "targetModules"
  | "excludeModules"
  | "modulesToSave"
  | "taskType"
  | "onUnmatchedPattern"
  | "source"
> = {
  method: optional(A_METHOD),
  // methods that train biases of the base allow more
  bias: optional(oneOf<AdapterConfig["bias"]>("none")),
  targetModules: optional(names),
  excludeModules: optional(names),
  modulesToSave: optional(listOf(name)),
  taskType: optional(oneOf(...TASK_TYPES)),
  onUnmatchedPattern: optional(oneOf("error", "warn")),
  source: optional(anything<Readonly<Record<string, unknown>>>()),
};

/** Rows of tables that are trained by themselves. */
export const TOKEN_INDICES: Rule<number[] | Record<string, number[]>> = anyOf(
  listOf(whole(0)),
  mapOf(listOf(whole(0))),
);

/** Of those that may be restricted to some layers. */
export const LAYER_RULES: Rules<"layersToTransform" | "layersPattern"> = {
  layersToTransform: optional(listOf(whole(0))),
  layersPattern: optional(listOf(name)),
};

export const COMMON_SPELT: Readonly<Record<string, string>> = {
  target_modules: "targetModules",
  targets: "targetModules",
  exclude_modules: "excludeModules",
  modules_to_save: "modulesToSave",
  trainable_token_indices: "trainableTokenIndices",
  layers_to_transform: "layersToTransform",
  layers_pattern: "layersPattern",
  task_type: "taskType",
};

/** PEFT's word for every linear layer but the output. */
export function isAllLinear(rule: readonly string[] | string | undefined): boolean {
  return typeof rule === "string" && rule.toLowerCase() === "all-linear";
}

/** The shared part of a configuration: defaults. Which heads the task trains is known once there is a model. */
export function commonConfig(method: Method, given: Partial<Omit<AdapterConfig, "method">>): AdapterConfig {
  const some = <T>(list: readonly T[] | undefined): readonly T[] | undefined => (list?.length === 0 ? undefined : list);
  return {
    method,
    targetModules: given.targetModules,
    excludeModules: given.excludeModules,
    modulesToSave: [...new Set(given.modulesToSave)],
    trainableTokenIndices: given.trainableTokenIndices,
    layersToTransform: some(given.layersToTransform),
    layersPattern: some(given.layersPattern),
    bias: given.bias ?? "none",
    taskType: given.taskType,
    onUnmatchedPattern: given.onUnmatchedPattern ?? "error",
    source: given.source ?? {},
  };
}

/** Why options about layers do not go together, or undefined. */
export function layersProblem({ layersPattern, layersToTransform, targetModules }: AdapterConfig): string | undefined {
  if (layersPattern !== undefined && layersToTransform === undefined)
    return "layers_pattern says where a layer's number stands; give layers_to_transform too";
  if (typeof targetModules === "string" && !isAllLinear(targetModules) && layersToTransform !== undefined)
    return "layers_to_transform goes with a list of target modules, not with a regular expression, which can name layers itself";
  return undefined;
}
