/** LoRA's configuration: what each option means, what it may be, and which do not go together. */
import { LowrankError } from "@lowrank/tensor";
import {
  anyOf,
  anything,
  checkOptions,
  fields,
  flag,
  listOf,
  mapOf,
  name,
  oneOf,
  optional,
  probability,
  real,
  size,
  whole,
  type Rule,
} from "@lowrank/tensor/check";
import { ADALORA_RULES, completeAdaLora, requireShrinking, type AdaLoraConfig } from "./adalora-config.ts";

export const TASK_TYPES = [
  "SEQ_CLS",
  "TOKEN_CLS",
  "CAUSAL_LM",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
  "SEQ_2_SEQ_LM",
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

const STARTS = [true, false, "gaussian", "orthogonal", "pissa", "olora"] as const;
/** How A and B start. `true` is PEFT's default; `false` gives B values too, for tests. */
export type InitLora = (typeof STARTS)[number];

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
  /**
   * Module name suffixes, or a regular expression for the whole path (Python's syntax, without look-around and back-references), or
   * "all-linear". Default: what PEFT takes for the architecture.
   */
  readonly targetModules: readonly string[] | string | undefined;
  readonly excludeModules: readonly string[] | string | undefined;
  /**
   * Modules trained whole, on a copy: every one whose path ends in such a name, at a dot or not, as in PEFT. SEQ_CLS adds `classifier` and
   * `score`, TOKEN_CLS too, QUESTION_ANS adds `qa_outputs`.
   */
  readonly modulesToSave: readonly string[];
  /** Ranks by the end of a path at a dot, each key a regular expression; the first key that matches counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Numbers of the layers that are adapted; an empty list is no restriction. */
  readonly layersToTransform: readonly number[] | undefined;
  /** Names under which layers are numbered; an empty list is no restriction. */
  readonly layersPattern: readonly string[] | undefined;
  /** Scale alpha/√r instead of alpha/r (Kalajdzievski 2023). */
  readonly rsLora: boolean;
  readonly taskType: TaskType | undefined;
  /**
   * What to do about a name, a pattern or a layer that matches no module. PEFT says nothing. `warn` lists it in the adapter's `warnings`,
   * as long as something else matches; configurations from files have that. Default "error".
   */
  readonly onUnmatchedPattern: "error" | "warn";
  /** The file as it was read. */
  readonly source: Readonly<Record<string, unknown>>;
}

const names: Rule<string[] | string> = anyOf(name, listOf(name));

const LORA_RULES = fields<Partial<LoraConfig>>(
  {
    r: optional(size),
    alpha: optional(real()),
    dropout: optional(probability),
    dora: optional(flag),
    rsLora: optional(flag),
    loraBias: optional(flag),
    initLora: optional(oneOf<InitLora>(...STARTS)),
    bias: optional(oneOf("none", "all", "lora_only")),
    alphaMode: optional(oneOf("constant", "constantScaling")),
    targetModules: optional(names),
    excludeModules: optional(names),
    modulesToSave: optional(listOf(name)),
    rankPattern: optional(mapOf(size)),
    alphaPattern: optional(mapOf(real())),
    layersToTransform: optional(listOf(whole(0))),
    layersPattern: optional(listOf(name)),
    taskType: optional(oneOf(...TASK_TYPES)),
    onUnmatchedPattern: optional(oneOf("error", "warn")),
    source: optional(anything<Readonly<Record<string, unknown>>>()),
    adaLora: optional(ADALORA_RULES as Rule<AdaLoraConfig>),
  },
  {
    spelt: {
      rank: "r",
      lora_r: "r",
      lora_alpha: "alpha",
      loraAlpha: "alpha",
      lora_dropout: "dropout",
      loraDropout: "dropout",
      target_modules: "targetModules",
      targets: "targetModules",
      exclude_modules: "excludeModules",
      modules_to_save: "modulesToSave",
      rank_pattern: "rankPattern",
      alpha_pattern: "alphaPattern",
      layers_to_transform: "layersToTransform",
      layers_pattern: "layersPattern",
      use_rslora: "rsLora",
      useRslora: "rsLora",
      useRsLora: "rsLora",
      use_dora: "dora",
      useDora: "dora",
      task_type: "taskType",
      init_lora_weights: "initLora",
      initLoraWeights: "initLora",
      lora_bias: "loraBias",
    },
  },
);

const HEADS: Readonly<Partial<Record<TaskType, readonly string[]>>> = {
  SEQ_CLS: ["classifier", "score"],
  TOKEN_CLS: ["classifier", "score"],
  QUESTION_ANS: ["qa_outputs"],
};

/** Modules that a task trains whole without being told. */
export function headsOf(taskType: TaskType | undefined): readonly string[] {
  return taskType === undefined ? [] : (HEADS[taskType] ?? []);
}

/** Fills in defaults and the heads that the task trains. @throws LowrankError (ConfigError) naming the option */
export function loraConfig(options: Partial<LoraConfig> = {}): LoraConfig {
  const given = checkOptions("loraConfig", LORA_RULES, options);
  const some = <T>(list: readonly T[] | undefined): readonly T[] | undefined => (list?.length === 0 ? undefined : list);
  const config: LoraConfig = {
    r: 8,
    alpha: 8,
    dropout: 0,
    targetModules: undefined,
    excludeModules: undefined,
    rankPattern: {},
    alphaPattern: {},
    rsLora: false,
    onUnmatchedPattern: "error",
    source: {},
    dora: false,
    initLora: true,
    loraBias: false,
    bias: "none",
    alphaMode: "constant",
    taskType: undefined,
    ...given,
    layersToTransform: some(given.layersToTransform),
    layersPattern: some(given.layersPattern),
    adaLora: given.adaLora === undefined ? undefined : completeAdaLora(given.adaLora),
    modulesToSave: [...new Set([...(given.modulesToSave ?? []), ...headsOf(given.taskType)])],
  };
  const fail = (why: string): never => {
    throw new LowrankError("ConfigError", `LoRA: ${why}`);
  };
  if (config.loraBias && (config.dora || typeof config.initLora !== "boolean"))
    fail("lora_bias goes with neither DoRA nor a start other than true or false");
  if (config.layersPattern !== undefined && config.layersToTransform === undefined)
    fail("layers_pattern says where a layer's number stands; give layers_to_transform too");
  if (
    typeof config.targetModules === "string" &&
    !isAllLinear(config.targetModules) &&
    config.layersToTransform !== undefined
  )
    fail(
      "layers_to_transform goes with a list of target modules, not with a regular expression, which can name layers itself",
    );
  if (config.adaLora !== undefined && config.dora)
    fail("AdaLoRA: DoRA has no singular values to rank; choose one of the two");
  if (config.onUnmatchedPattern === "error") {
    const idle = adaLoraIgnores(config).find((what) => !what.startsWith("r ("));
    if (idle !== undefined) fail(idle);
    if (config.adaLora !== undefined) requireShrinking(config.adaLora);
  }
  return config;
}

/** What is said and has no meaning under AdaLoRA. PEFT warns of the first and ignores the others without a word. */
export function adaLoraIgnores({
  adaLora,
  r,
  rsLora,
  loraBias,
  initLora,
  alphaMode,
  rankPattern,
  alphaPattern,
}: LoraConfig): string[] {
  if (adaLora === undefined) return [];
  const idle: readonly (readonly [string, boolean])[] = [
    [
      `r (${r}) has no meaning beside AdaLoRA, whose modules start with init_r ${adaLora.initR}`,
      r !== 8 && r !== adaLora.initR,
    ],
    ["use_rslora has no meaning under AdaLoRA, whose scale is alpha/init_r", rsLora],
    ["lora_bias has no meaning under AdaLoRA", loraBias],
    [
      `init_lora_weights ${JSON.stringify(initLora)} has no meaning under AdaLoRA, which starts from small random factors and zeros`,
      typeof initLora === "string",
    ],
    ["alphaMode has no meaning under AdaLoRA, where all modules have one scale", alphaMode !== "constant"],
    ["rank_pattern has no meaning under AdaLoRA, which decides ranks itself", Object.keys(rankPattern).length > 0],
    [
      "alpha_pattern has no meaning under AdaLoRA, where all modules have one alpha",
      Object.keys(alphaPattern).length > 0,
    ],
  ];
  return idle.flatMap(([what, said]) => (said ? [what] : []));
}

/** PEFT's word for every linear layer but the output. */
export function isAllLinear(rule: readonly string[] | string | undefined): boolean {
  return typeof rule === "string" && rule.toLowerCase() === "all-linear";
}

/** The alpha that gives rank `rank` the scale of the default rank. */
export function evenAlpha({ alpha, r, rsLora }: LoraConfig, rank: number): number {
  return alpha * (rsLora ? Math.sqrt(rank / r) : rank / r);
}

/** The factor of an update of this rank. */
export function scaleOf({ adaLora, rsLora }: LoraConfig, alpha: number, rank: number): number {
  if (adaLora !== undefined) return (alpha > 0 ? alpha : adaLora.initR) / (adaLora.initR + 1e-5);
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}
