/** `adapter_config.json` as Python's PEFT reads and writes it. Keys we do not know survive a round trip. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  absent,
  anyOf,
  checkFile,
  fields,
  flag,
  listOf,
  mapOf,
  name,
  nearestName,
  oneOf,
  probability,
  real,
  size,
  text,
  whole,
  type Rule,
  type Rules,
} from "@lowrank/tensor/check";
import { decay, maskRule, stepsOf, stepsOrFraction, type AdaLoraConfig } from "./adalora-config.ts";
import { evenAlpha, loraConfig, TASK_TYPES, type InitLora, type LoraConfig, type TaskType } from "./config.ts";

export const CONFIG_FILE = "adapter_config.json";

/** The keys that are read, where they are neither absent nor null. */
interface AdapterFile {
  readonly r?: number;
  readonly lora_alpha?: number;
  readonly lora_dropout?: number;
  readonly target_modules?: string | readonly string[];
  readonly exclude_modules?: string | readonly string[];
  readonly modules_to_save?: readonly string[];
  readonly rank_pattern?: unknown;
  readonly alpha_pattern?: Readonly<Record<string, number>>;
  readonly layers_to_transform?: number | readonly number[];
  readonly layers_pattern?: string | readonly string[];
  readonly task_type?: TaskType;
  readonly bias?: LoraConfig["bias"];
  readonly init_lora_weights?: boolean | string;
  readonly use_rslora?: boolean;
  readonly use_dora?: boolean;
  readonly lora_bias?: boolean;
  readonly fan_in_fan_out?: boolean;
  readonly inference_mode?: boolean;
  readonly base_model_name_or_path?: string;
  readonly init_r?: number;
  readonly target_r?: number;
  readonly tinit?: number;
  readonly tfinal?: number;
  readonly deltaT?: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly orth_reg_weight?: number;
  readonly total_step?: number;
}

const names: Rule<string | string[]> = anyOf(text, listOf(name));

function rulesFor(adaLora: boolean): Rules<AdapterFile> {
  return {
    r: absent(size),
    lora_alpha: absent(real()),
    lora_dropout: absent(probability),
    target_modules: absent(names),
    exclude_modules: absent(names),
    modules_to_save: absent(listOf(name)),
    rank_pattern: absent<unknown>(adaLora ? maskRule : mapOf(size)),
    alpha_pattern: absent(mapOf(real())),
    layers_to_transform: absent(anyOf(whole(0), listOf(whole(0)))),
    layers_pattern: absent(names),
    task_type: absent(oneOf(...TASK_TYPES)),
    bias: absent(oneOf("none", "all", "lora_only")),
    init_lora_weights: absent(anyOf(flag, name)),
    use_rslora: absent(flag),
    use_dora: absent(flag),
    lora_bias: absent(flag),
    fan_in_fan_out: absent(flag),
    inference_mode: absent(flag),
    base_model_name_or_path: absent(text),
    init_r: absent(size),
    target_r: absent(size),
    tinit: absent(stepsOrFraction),
    tfinal: absent(stepsOrFraction),
    deltaT: absent(stepsOrFraction),
    beta1: absent(decay),
    beta2: absent(decay),
    orth_reg_weight: absent(real({ min: 0 })),
    total_step: absent(whole(1)),
  };
}

const RULES = { LORA: rulesFor(false), ADALORA: rulesFor(true) } as const;
const SHAPES = {
  LORA: fields(RULES.LORA, { unknown: "keep" }),
  ADALORA: fields(RULES.ADALORA, { unknown: "keep" }),
} as const;

const on = (value: unknown): boolean => value !== null && value !== false && value !== undefined;
/** Switches that would change the function; saying nothing about them would be worse than refusing. */
const NOT_BUILT: readonly (readonly [string, (v: unknown) => boolean])[] = [
  ["use_qalora", on],
  ["use_bdlora", on],
  ["layer_replication", on],
  ["target_parameters", (v) => on(v) && !(Array.isArray(v) && v.length === 0)],
  ["trainable_token_indices", on],
  ["alora_invocation_tokens", on],
  ["arrow_config", on],
  ["kasa_config", on],
  ["monteclora_config", on],
  ["velora_config", on],
  ["megatron_config", on],
  ["ensure_weight_tying", on],
];

/** Further fields of PEFT's LoraConfig (0.21.2), which change nothing by themselves. */
const HARMLESS =
  "auto_mapping corda_config eva_config loftq_config lora_ga_config megatron_core peft_type peft_version qalora_group_size revision runtime_config".split(
    " ",
  );
const ADALORA_ONLY = /^(init_r|target_r|tinit|tfinal|deltaT|beta[12]|orth_reg_weight|total_step)$/;
/** Words from elsewhere that no edit distance finds. */
const MEANT: Readonly<Record<string, string>> = {
  rank: "r",
  alpha: "lora_alpha",
  dropout: "lora_dropout",
  dora: "use_dora",
  rslora: "use_rslora",
  targets: "target_modules",
};

/** Keys of a file that no field of PEFT's class has: PEFT warns of them and goes on without. */
export function strangeKeys(source: Readonly<Record<string, unknown>>): string[] {
  const adaLora = source["peft_type"] === "ADALORA";
  const known = [...Object.keys(RULES.LORA), ...NOT_BUILT.map(([key]) => key), ...HARMLESS].filter(
    (key) => adaLora || !ADALORA_ONLY.test(key),
  );
  return Object.keys(source)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const near = Object.hasOwn(MEANT, key) ? MEANT[key] : nearestName(key, known);
      return `${CONFIG_FILE}: ${quote(key)} is no field of PEFT's ${adaLora ? "AdaLoraConfig" : "LoraConfig"} and is ignored${near === undefined ? "" : `; did you mean "${near}"?`}`;
    });
}

/** Starts by the names PEFT takes, in any case where PEFT does not mind; `eva` leaves the base alone and gives A values that the file holds. */
const STARTS: Readonly<Record<string, InitLora>> = {
  gaussian: "gaussian",
  orthogonal: "orthogonal",
  pissa: "pissa",
  olora: "olora",
  eva: true,
};

function startNamed(named: boolean | string | undefined): InitLora {
  if (typeof named !== "string") return named ?? true;
  const start = STARTS[named.toLowerCase()];
  if (start !== undefined && Object.hasOwn(STARTS, named.toLowerCase())) return start;
  const refuse = (code: "NotBuiltError" | "FormatError", why: string): never => {
    throw new LowrankError(code, `${CONFIG_FILE}: "init_lora_weights": ${quote(named)} ${why}`);
  };
  if (/^pissa_niter_\d+$/.test(named))
    return refuse(
      "NotBuiltError",
      'is not built: random numbers decided the base that it leaves behind. Convert the adapter to a plain LoRA when saving it (path_initial_model_for_weight_conversion), or start with "pissa"',
    );
  if (/^(loftq|corda|lora_ga|mica)/.test(named.toLowerCase()))
    return refuse("NotBuiltError", "is not built: it changes more than what A and B start from");
  return refuse("FormatError", `is no start that PEFT knows; there are true, false, ${Object.keys(STARTS).join(", ")}`);
}

/** What a file without `peft_type` may be. */
function otherFormat(source: Readonly<Record<string, unknown>>): string {
  if ("fine_tune_type" in source || "lora_parameters" in source)
    return "the file is mlx-lm's; read it with loadMlxAdapter";
  if ("config" in source && ("model_name" in source || "hidden_size" in source))
    return "the file looks like AdapterHub's, whose adapters are not built";
  return "PEFT writes it into every file";
}

/**
 * Reads the object of an `adapter_config.json`. What matches nothing in a model will be a warning, since PEFT has trained with it.
 * @throws LowrankError (FormatError) on what is no such file, (NotBuiltError) on switches that are not built
 */
export function parseAdapterConfig(source: Readonly<Record<string, unknown>>): LoraConfig {
  if (typeof source !== "object" || source === null || Array.isArray(source))
    throw new LowrankError("FormatError", `${CONFIG_FILE}: must be an object, got ${quote(source)}`);
  const type = source["peft_type"];
  if (type === undefined || type === null)
    throw new LowrankError("FormatError", `${CONFIG_FILE}: there is no "peft_type"; ${otherFormat(source)}`);
  if (type !== "LORA" && type !== "ADALORA")
    throw new LowrankError(
      "NotBuiltError",
      `${CONFIG_FILE}: peft_type ${quote(type)} is not built; only LORA and ADALORA are`,
    );
  for (const [key, set] of NOT_BUILT)
    if (set(source[key]))
      throw new LowrankError("NotBuiltError", `${CONFIG_FILE}: "${key}": ${quote(source[key])} is not built`);
  const file = checkFile(CONFIG_FILE, SHAPES[type], source);
  const layers = file.layers_to_transform;
  const said = (value: string | readonly string[] | undefined): string | readonly string[] | undefined =>
    value === "" ? undefined : value;
  const patterns = said(file.layers_pattern);
  return loraConfig({
    r: file.r ?? 8,
    alpha: file.lora_alpha ?? 8,
    dropout: file.lora_dropout ?? 0,
    targetModules: said(file.target_modules),
    excludeModules: said(file.exclude_modules),
    modulesToSave: file.modules_to_save ?? [],
    rankPattern: type === "ADALORA" ? {} : ((file.rank_pattern ?? {}) as Record<string, number>),
    alphaPattern: file.alpha_pattern ?? {},
    layersToTransform: typeof layers === "number" ? [layers] : layers,
    layersPattern: typeof patterns === "string" ? [patterns] : patterns,
    rsLora: file.use_rslora ?? false,
    taskType: file.task_type,
    source,
    dora: file.use_dora ?? false,
    loraBias: file.lora_bias ?? false,
    bias: file.bias ?? "none",
    initLora: startNamed(file.init_lora_weights),
    onUnmatchedPattern: "warn",
    adaLora: type === "ADALORA" ? adaLoraOf(file) : undefined,
  });
}

function adaLoraOf(file: AdapterFile): AdaLoraConfig {
  const {
    init_r: initR = 12,
    target_r: targetR = 8,
    tinit = 0,
    tfinal = 0,
    deltaT = 1,
    beta1 = 0.85,
    beta2 = 0.85,
    orth_reg_weight: orthRegWeight = 0.5,
    total_step: totalStep = 1,
  } = file;
  return {
    initR,
    targetR,
    tinit,
    tfinal,
    deltaT,
    beta1,
    beta2,
    orthRegWeight,
    totalStep,
    rankMask: file.rank_pattern as AdaLoraConfig["rankMask"],
  };
}

/** Alphas as PEFT needs them: it has no word for a constant scale, so every rank of the pattern gets the alpha that belongs to it. */
function alphasFor(config: LoraConfig): Readonly<Record<string, number>> {
  if (config.alphaMode === "constant" || config.adaLora !== undefined) return config.alphaPattern;
  const implied = Object.entries(config.rankPattern).filter(([key]) => config.alphaPattern[key] === undefined);
  return {
    ...config.alphaPattern,
    ...Object.fromEntries(implied.map(([key, rank]) => [key, evenAlpha(config, rank)])),
  };
}

/** What a file says of an adapter beyond its configuration. */
export interface WrittenFacts {
  /** Where the base came from. Without it a file's own word stays, else null. */
  readonly baseModel?: string | undefined;
  /** Whether the adapted layers store their weight [in, out]. */
  readonly fanInFanOut?: boolean;
}

/** The object to write: fields of PEFT 0.14, which every version reads, sorted as PEFT sorts them. */
export function adapterConfigFile(
  config: LoraConfig,
  { baseModel, fanInFanOut }: WrittenFacts = {},
): Record<string, unknown> {
  const sortedNames = (value: readonly string[] | string | undefined): unknown =>
    value === undefined ? null : typeof value === "string" ? value : [...value].sort();
  const { adaLora: ada, source } = config;
  const fields: Record<string, unknown> = {
    auto_mapping: null,
    base_model_name_or_path: null,
    eva_config: null,
    fan_in_fan_out: false,
    layer_replication: null,
    loftq_config: {},
    megatron_config: null,
    megatron_core: "megatron.core",
    peft_version: "0.14.0",
    revision: null,
    ...source,
    ...(baseModel === undefined ? {} : { base_model_name_or_path: baseModel }),
    ...(fanInFanOut === undefined ? {} : { fan_in_fan_out: fanInFanOut }),
    peft_type: ada === undefined ? "LORA" : "ADALORA",
    inference_mode: true,
    r: config.r,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    target_modules: sortedNames(config.targetModules),
    exclude_modules: sortedNames(config.excludeModules),
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    rank_pattern: ada === undefined ? config.rankPattern : (ada.rankMask ?? null),
    init_lora_weights: spellingOf(config),
    alpha_pattern: alphasFor(config),
    layers_to_transform: asSaid(source["layers_to_transform"], config.layersToTransform),
    layers_pattern: asSaid(source["layers_pattern"], config.layersPattern),
    use_rslora: config.rsLora,
    task_type: config.taskType ?? null,
    use_dora: config.dora,
    lora_bias: config.loraBias,
    bias: config.bias,
    ...(ada === undefined
      ? {}
      : {
          init_r: ada.initR,
          target_r: ada.targetR,
          ...stepsOf(ada),
          beta1: ada.beta1,
          beta2: ada.beta2,
          orth_reg_weight: ada.orthRegWeight,
          total_step: ada.totalStep,
        }),
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One number or name without a list around it, where a file had it so. */
function asSaid(said: unknown, list: readonly unknown[] | undefined): unknown {
  return list?.length === 1 && list[0] === said ? said : (list ?? null);
}

/** The start in the file's own word, where that still means the same. */
function spellingOf({ source, initLora }: LoraConfig): unknown {
  const named = source["init_lora_weights"];
  return typeof named === "string" && STARTS[named.toLowerCase()] === initLora ? named : initLora;
}
