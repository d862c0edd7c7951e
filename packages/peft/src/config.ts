/** LoRA's configuration and its file, `adapter_config.json`, as Python's PEFT reads and writes it. Keys we do not know survive a round trip. */
import { LowrankError } from "@lowrank/tensor";

export type TaskType = "SEQ_CLS" | "TOKEN_CLS" | "CAUSAL_LM" | "QUESTION_ANS" | "FEATURE_EXTRACTION" | "SEQ_2_SEQ_LM";

export interface LoraConfig {
  /** Rank. Default 8. */
  readonly r: number;
  /** Numerator of the scale alpha/r. Default 8, as in PEFT. */
  readonly alpha: number;
  /** Dropout on the adapter's input. Default 0. */
  readonly dropout: number;
  /** Module name suffixes, or a regular expression for the whole path, or "all-linear". Default: what PEFT takes for the architecture. */
  readonly targetModules: readonly string[] | string | undefined;
  readonly excludeModules: readonly string[] | string | undefined;
  /** Modules trained whole, on a copy. SEQ_CLS adds `classifier` and `score`, TOKEN_CLS too, QUESTION_ANS adds `qa_outputs`. */
  readonly modulesToSave: readonly string[];
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly layersToTransform: readonly number[] | undefined;
  readonly layersPattern: readonly string[] | undefined;
  /** Scale alpha/√r instead of alpha/r (Kalajdzievski 2023). */
  readonly rsLora: boolean;
  readonly taskType: TaskType | undefined;
  /** What to do about a pattern that matches no module: PEFT ignored it silently for years. Default "error". */
  readonly onUnmatchedPattern: "error" | "warn";
  /** The file as it was read. */
  readonly source: Readonly<Record<string, unknown>>;
}

const HEADS: Readonly<Partial<Record<TaskType, readonly string[]>>> = { SEQ_CLS: ["classifier", "score"], TOKEN_CLS: ["classifier", "score"], QUESTION_ANS: ["qa_outputs"] };

/** Fills in defaults and the heads that the task trains. */
export function loraConfig(options: Partial<LoraConfig> = {}): LoraConfig {
  const taskType = options.taskType;
  const heads = taskType === undefined ? [] : (HEADS[taskType] ?? []);
  const config: LoraConfig = {
    r: 8, alpha: 8, dropout: 0, targetModules: undefined, excludeModules: undefined, rankPattern: {}, alphaPattern: {}, layersToTransform: undefined,
    layersPattern: undefined, rsLora: false, onUnmatchedPattern: "error", source: {}, ...options,
    taskType, modulesToSave: [...new Set([...(options.modulesToSave ?? []), ...heads])],
  };
  const positive = (what: string, value: number): void => {
    if (!Number.isInteger(value) || value < 1) throw new LowrankError("ConfigError", `LoRA: ${what} must be a positive integer, got ${value}`);
  };
  positive("r", config.r);
  for (const [key, value] of Object.entries(config.rankPattern)) positive(`rank_pattern "${key}"`, value);
  if (!(config.dropout >= 0 && config.dropout < 1)) throw new LowrankError("ConfigError", `LoRA: dropout must lie in [0, 1), got ${config.dropout}`);
  return config;
}

/** Switches that would change the function; saying nothing about them would be worse than refusing. */
const NOT_BUILT: readonly (readonly [string, (v: unknown) => boolean])[] = [
  ["use_dora", (v) => v === true], ["use_qalora", (v) => v === true], ["use_bdlora", (v) => v !== null && v !== false], ["lora_bias", (v) => v === true],
  ["bias", (v) => v !== "none"], ["layer_replication", (v) => v !== null], ["target_parameters", (v) => v !== null], ["trainable_token_indices", (v) => v !== null],
  ["alora_invocation_tokens", (v) => v !== null], ["arrow_config", (v) => v !== null],
];

/** Reads the object of an `adapter_config.json`. */
export function parseAdapterConfig(source: Readonly<Record<string, unknown>>): LoraConfig {
  if (source["peft_type"] !== undefined && source["peft_type"] !== "LORA") throw new LowrankError("NotBuiltError", `adapter_config.json: peft_type "${String(source["peft_type"])}" is not built; only LORA is`);
  for (const [key, on] of NOT_BUILT) if (source[key] !== undefined && on(source[key])) throw new LowrankError("NotBuiltError", `adapter_config.json: "${key}": ${JSON.stringify(source[key])} is not built`);
  const number = (key: string, fallback: number): number => {
    const value = source[key] ?? fallback;
    if (typeof value !== "number") throw new LowrankError("ConfigError", `adapter_config.json: "${key}" must be a number, got ${JSON.stringify(value)}`);
    return value;
  };
  const names = (key: string): readonly string[] | string | undefined => {
    const value = source[key];
    if (value === null || value === undefined || typeof value === "string") return value ?? undefined;
    if (Array.isArray(value) && value.every((v) => typeof v === "string")) return value as string[];
    throw new LowrankError("ConfigError", `adapter_config.json: "${key}" must be a name, a list of names or null`);
  };
  const list = (key: string): readonly string[] => {
    const value = names(key);
    return value === undefined ? [] : typeof value === "string" ? [value] : value;
  };
  const layers = source["layers_to_transform"];
  return loraConfig({
    r: number("r", 8), alpha: number("lora_alpha", 8), dropout: number("lora_dropout", 0), targetModules: names("target_modules"), excludeModules: names("exclude_modules"),
    modulesToSave: list("modules_to_save"), rankPattern: (source["rank_pattern"] ?? {}) as Record<string, number>, alphaPattern: (source["alpha_pattern"] ?? {}) as Record<string, number>,
    layersToTransform: typeof layers === "number" ? [layers] : ((layers ?? undefined) as number[] | undefined),
    layersPattern: list("layers_pattern").length > 0 ? list("layers_pattern") : undefined, rsLora: source["use_rslora"] === true,
    taskType: (source["task_type"] ?? undefined) as TaskType | undefined, source,
  });
}

/** The object to write: fields of PEFT 0.14, which every version reads, sorted as PEFT sorts them. */
export function adapterConfigFile(config: LoraConfig): Record<string, unknown> {
  const sortedNames = (value: readonly string[] | string | undefined): unknown => (value === undefined ? null : typeof value === "string" ? value : [...value].sort());
  const fields: Record<string, unknown> = {
    auto_mapping: null, base_model_name_or_path: null, bias: "none", eva_config: null, fan_in_fan_out: false, init_lora_weights: true,
    layer_replication: null, loftq_config: {}, lora_bias: false, megatron_config: null, megatron_core: "megatron.core", peft_version: "0.14.0", revision: null, use_dora: false,
    ...config.source,
    peft_type: "LORA", inference_mode: true, r: config.r, lora_alpha: config.alpha, lora_dropout: config.dropout, target_modules: sortedNames(config.targetModules),
    exclude_modules: sortedNames(config.excludeModules), modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave, rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern, layers_to_transform: config.layersToTransform ?? null, layers_pattern: config.layersPattern ?? null, use_rslora: config.rsLora,
    task_type: config.taskType ?? null,
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}
