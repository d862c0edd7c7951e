/** LoRA's configuration and its file, `adapter_config.json`, as Python's PEFT reads and writes it. Keys we do not know survive a round trip. */
import { LowrankError } from "@lowrank/tensor";

export type TaskType = "SEQ_CLS" | "TOKEN_CLS" | "CAUSAL_LM" | "QUESTION_ANS" | "FEATURE_EXTRACTION" | "SEQ_2_SEQ_LM";

/** How A and B start. `true` is PEFT's default; `false` gives B values too, for tests. */
export type InitLora = true | false | "gaussian" | "orthogonal" | "pissa" | "olora";

/** AdaLoRA's schedule (Zhang et al. 2023); step counts, or fractions of `totalStep` where they lie strictly between 0 and 1. */
export interface AdaLoraConfig {
  /** Rank every module starts with. Default 12. */
  readonly initR: number;
  /** Mean rank in the end. Default 8. */
  readonly targetR: number;
  /** Steps before the budget shrinks, and after it has its final size. Default 0. */
  readonly tinit: number;
  readonly tfinal: number;
  /** Steps between two maskings. Default 1. */
  readonly deltaT: number;
  /** Averages of sensitivity and of its uncertainty. Default 0.85. */
  readonly beta1: number;
  readonly beta2: number;
  /** Weight of the orthogonality term in the training objective. Default 0.5. */
  readonly orthRegWeight: number;
  readonly totalStep: number;
  /** Kept ranks by path of E, as a finished adapter stores them. */
  readonly rankMask: Readonly<Record<string, readonly boolean[]>> | undefined;
}

export interface LoraConfig {
  /** Present for AdaLoRA, whose modules have rank `initR`; `alpha` is then the scale's numerator over the initial rank. */
  readonly adaLora: AdaLoraConfig | undefined;
  /** Magnitude and direction apart (Liu et al. 2024). Default false. */
  readonly dora: boolean;
  readonly initLora: InitLora;
  /** Whether B has a bias. Default false. */
  readonly loraBias: boolean;
  /** Which biases of the base train as well. Default "none". */
  readonly bias: "none" | "all" | "lora_only";
  /** What a rank pattern does to the scale: `constant` keeps alpha (PEFT), `constantScaling` keeps alpha/r. Default "constant". */
  readonly alphaMode: "constant" | "constantScaling";
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
    layersPattern: undefined, rsLora: false, onUnmatchedPattern: "error", source: {}, adaLora: undefined, dora: false, initLora: true, loraBias: false, bias: "none",
    alphaMode: "constant", ...options,
    taskType, modulesToSave: [...new Set([...(options.modulesToSave ?? []), ...heads])],
  };
  const positive = (what: string, value: number): void => {
    if (!Number.isInteger(value) || value < 1) throw new LowrankError("ConfigError", `LoRA: ${what} must be a positive integer, got ${value}`);
  };
  positive("r", config.r);
  if (config.adaLora !== undefined) checkAdaLora(config, config.adaLora);
  for (const [key, value] of Object.entries(config.rankPattern)) positive(`rank_pattern "${key}"`, value);
  const fail = (why: string): never => { throw new LowrankError("ConfigError", `LoRA: ${why}`); };
  if (!["none", "all", "lora_only"].includes(config.bias)) fail(`bias must be none, all or lora_only, got ${JSON.stringify(config.bias)}`);
  if (config.loraBias && (config.dora || typeof config.initLora !== "boolean")) fail("lora_bias goes with neither DoRA nor a start other than true or false");
  if (config.layersPattern !== undefined && config.layersToTransform === undefined) fail("layers_pattern says where a layer's number stands; give layers_to_transform too");
  if (typeof config.targetModules === "string" && config.targetModules !== "all-linear" && config.layersToTransform !== undefined) fail("layers_to_transform goes with a list of target modules, not with a regular expression, which can name layers itself");
  if (!(config.dropout >= 0 && config.dropout < 1)) throw new LowrankError("ConfigError", `LoRA: dropout must lie in [0, 1), got ${config.dropout}`);
  return config;
}

/** @throws LowrankError (ConfigError) on what PEFT refuses, and on what would never finish */
function checkAdaLora(config: LoraConfig, ada: AdaLoraConfig): void {
  const fail = (why: string): never => { throw new LowrankError("ConfigError", `AdaLoRA: ${why}`); };
  if (!(ada.totalStep > 0)) fail(`total_step must be the number of training steps, got ${ada.totalStep}`);
  const { tinit, tfinal } = stepsOf(ada);
  if (tinit >= ada.totalStep - tfinal) fail(`tinit ${tinit} and tfinal ${tfinal} leave no step of ${ada.totalStep} for the budget to shrink`);
  if (!(ada.orthRegWeight >= 0)) fail(`orth_reg_weight must not be negative, got ${ada.orthRegWeight}`);
  for (const [what, beta] of [["beta1", ada.beta1], ["beta2", ada.beta2]] as const) if (!(beta > 0 && beta < 1)) fail(`${what} must lie in (0, 1), got ${beta}`);
  if (config.dora) fail("DoRA has no singular values to rank; choose one of the two");
  if (config.initLora === "pissa" || config.initLora === "olora") fail(`init_lora_weights "${config.initLora}" is for LoRA`);
}

/** Fractions of training as steps. */
export function stepsOf(ada: Pick<AdaLoraConfig, "tinit" | "tfinal" | "deltaT" | "totalStep">): { tinit: number; tfinal: number; deltaT: number } {
  const steps = (x: number): number => (x > 0 && x < 1 ? Math.round(x * ada.totalStep) : x);
  return { tinit: steps(ada.tinit), tfinal: steps(ada.tfinal), deltaT: Math.max(1, steps(ada.deltaT)) };
}

export function adaLoraConfig(options: Partial<AdaLoraConfig> & Pick<AdaLoraConfig, "totalStep">): AdaLoraConfig {
  return { initR: 12, targetR: 8, tinit: 0, tfinal: 0, deltaT: 1, beta1: 0.85, beta2: 0.85, orthRegWeight: 0.5, rankMask: undefined, ...options };
}

/** Switches that would change the function; saying nothing about them would be worse than refusing. */
const NOT_BUILT: readonly (readonly [string, (v: unknown) => boolean])[] = [
  ["use_qalora", (v) => v === true], ["use_bdlora", (v) => v !== null && v !== false], ["layer_replication", (v) => v !== null], ["target_parameters", (v) => v !== null],
  ["trainable_token_indices", (v) => v !== null], ["alora_invocation_tokens", (v) => v !== null], ["arrow_config", (v) => v !== null],
  ["kasa_config", (v) => v !== null], ["monteclora_config", (v) => v !== null], ["velora_config", (v) => v !== null],
  // these starts leave another base behind than the one in the checkpoint, and it cannot be made again from this file
  ["init_lora_weights", (v) => v === "loftq" || v === "corda" || v === "lora_ga"],
];

/** Reads the object of an `adapter_config.json`. */
export function parseAdapterConfig(source: Readonly<Record<string, unknown>>): LoraConfig {
  const type = source["peft_type"] ?? "LORA";
  if (type !== "LORA" && type !== "ADALORA") throw new LowrankError("NotBuiltError", `adapter_config.json: peft_type "${String(type)}" is not built; only LORA and ADALORA are`);
  for (const [key, on] of NOT_BUILT) if (source[key] !== undefined && on(source[key])) throw new LowrankError("NotBuiltError", `adapter_config.json: "${key}": ${JSON.stringify(source[key])} is not built`);
  // a file with trained values needs no initialiser; other names only matter to whoever trains afresh
  const named = source["init_lora_weights"];
  // PiSSA by randomised SVD leaves the same base behind up to the error of that SVD
  const init = typeof named === "string" && named.startsWith("pissa_niter_") ? "pissa" : named;
  const known: readonly unknown[] = [true, false, "gaussian", "orthogonal", "pissa", "olora"];
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
    modulesToSave: list("modules_to_save"), rankPattern: type === "ADALORA" ? {} : ((source["rank_pattern"] ?? {}) as Record<string, number>), alphaPattern: (source["alpha_pattern"] ?? {}) as Record<string, number>,
    layersToTransform: typeof layers === "number" ? [layers] : ((layers ?? undefined) as number[] | undefined),
    layersPattern: list("layers_pattern").length > 0 ? list("layers_pattern") : undefined, rsLora: source["use_rslora"] === true,
    taskType: (source["task_type"] ?? undefined) as TaskType | undefined, source, dora: source["use_dora"] === true, loraBias: source["lora_bias"] === true,
    bias: (source["bias"] ?? "none") as LoraConfig["bias"], initLora: known.includes(init) ? (init as InitLora) : true,
    adaLora: type !== "ADALORA" ? undefined : adaLoraConfig({
      initR: number("init_r", 12), targetR: number("target_r", 8), tinit: number("tinit", 0), tfinal: number("tfinal", 0), deltaT: number("deltaT", 1), beta1: number("beta1", 0.85),
      beta2: number("beta2", 0.85), orthRegWeight: number("orth_reg_weight", 0.5), totalStep: number("total_step", 1), rankMask: (source["rank_pattern"] ?? undefined) as Record<string, boolean[]> | undefined,
    }),
  });
}

/** Alphas as PEFT needs them: it has no word for a constant scale, so every rank of the pattern gets the alpha that belongs to it. */
function alphasFor(config: LoraConfig): Readonly<Record<string, number>> {
  if (config.alphaMode === "constant" || config.adaLora !== undefined) return config.alphaPattern;
  const implied = Object.entries(config.rankPattern).filter(([key]) => config.alphaPattern[key] === undefined);
  return { ...config.alphaPattern, ...Object.fromEntries(implied.map(([key, rank]) => [key, evenAlpha(config, rank)])) };
}

/** The alpha that gives rank `rank` the scale of the default rank. */
export function evenAlpha({ alpha, r, rsLora }: LoraConfig, rank: number): number {
  return alpha * (rsLora ? Math.sqrt(rank / r) : rank / r);
}

/** The object to write: fields of PEFT 0.14, which every version reads, sorted as PEFT sorts them. */
export function adapterConfigFile(config: LoraConfig): Record<string, unknown> {
  const sortedNames = (value: readonly string[] | string | undefined): unknown => (value === undefined ? null : typeof value === "string" ? value : [...value].sort());
  const { adaLora: ada } = config;
  const fields: Record<string, unknown> = {
    auto_mapping: null, base_model_name_or_path: null, eva_config: null, fan_in_fan_out: false,
    layer_replication: null, loftq_config: {}, megatron_config: null, megatron_core: "megatron.core", peft_version: "0.14.0", revision: null, init_lora_weights: config.initLora,
    ...config.source,
    peft_type: ada === undefined ? "LORA" : "ADALORA", inference_mode: true, r: config.r, lora_alpha: config.alpha, lora_dropout: config.dropout, target_modules: sortedNames(config.targetModules),
    exclude_modules: sortedNames(config.excludeModules), modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    rank_pattern: ada === undefined ? config.rankPattern : (ada.rankMask ?? null),
    alpha_pattern: alphasFor(config), layers_to_transform: config.layersToTransform ?? null, layers_pattern: config.layersPattern ?? null, use_rslora: config.rsLora,
    task_type: config.taskType ?? null, use_dora: config.dora, lora_bias: config.loraBias, bias: config.bias,
    ...(ada === undefined ? {} : {
      init_r: ada.initR, target_r: ada.targetR, ...stepsOf(ada), beta1: ada.beta1, beta2: ada.beta2, orth_reg_weight: ada.orthRegWeight, total_step: ada.totalStep,
    }),
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}
