/** Configuration of LoRA and of what comes from it (DoRA, AdaLoRA): what each option means, what it may be, and which do not go together. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  checkOptions,
  fields,
  flag,
  mapOf,
  oneOf,
  optional,
  probability,
  real,
  size,
  type Rule,
} from "@lowrank/tensor/check";
import {
  COMMON_RULES,
  COMMON_SPELT,
  commonConfig,
  LAYER_RULES,
  layersProblem,
  TOKEN_INDICES,
} from "../methods/common.ts";
import type { AdapterConfig, Method, OptionsOf } from "../methods/method.ts";
import { tokensProblem } from "../tokens.ts";
import { ADALORA_RULES, completeAdaLora, type AdaLoraConfig } from "./adalora-config.ts";

const STARTS = [true, false, "gaussian", "orthogonal", "pissa", "olora", "loftq"] as const;
/** How A and B start. `true` is PEFT's default; `false` gives B values too, for tests. */
export type InitLora = (typeof STARTS)[number];

/** PEFT's `loftq_config`. */
export interface LoftqConfig {
  /** Bits of the base: NF4. */
  readonly bits: 4;
  /** How often base and product follow one another. Default 1, with which the base is what it would be without. */
  readonly iterations: number;
}

export interface LoraConfig extends AdapterConfig {
  /** Asks for AdaLoRA, whose modules have rank `initR`; `alpha` is then the scale's numerator over the initial rank. */
  readonly adaLora: AdaLoraConfig | undefined;
  /** Asks for DoRA: magnitude and direction apart (Liu et al. 2024). Default false. */
  readonly dora: boolean;
  readonly initLora: InitLora;
  /** Of the start "loftq". */
  readonly loftq: LoftqConfig | undefined;
  /** Whether B has a bias. Default false. */
  readonly loraBias: boolean;
  /** What a rank pattern does to the scale: `constant` keeps alpha (PEFT), `constantScaling` keeps alpha/r. Default "constant". */
  readonly alphaMode: "constant" | "constantScaling";
  /** Rank. Default 8. */
  readonly r: number;
  /** Numerator of the scale alpha/r. Default 8, as in PEFT. */
  readonly alpha: number;
  /** Dropout on the adapter's input. Default 0. */
  readonly dropout: number;
  /** Ranks by the end of a path at a dot, each key a regular expression; the first key that matches counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Scale alpha/√r instead of alpha/r (Kalajdzievski 2023). */
  readonly rsLora: boolean;
}

/** AdaLoRA's, complete. */
export interface AdaLoraAdapterConfig extends LoraConfig {
  readonly adaLora: AdaLoraConfig;
}

const LOFTQ: Rule<Partial<LoftqConfig>> = fields<Partial<LoftqConfig>>(
  { bits: optional(oneOf(4 as const)), iterations: optional(size) },
  { spelt: { loftq_bits: "bits", loftq_iter: "iterations" } },
);

const LORA_RULES: Rule<OptionsOf<LoraConfig>> = fields<OptionsOf<LoraConfig>>(
  {
    ...COMMON_RULES,
    ...LAYER_RULES,
    trainableTokenIndices: optional(TOKEN_INDICES),
    r: optional(size),
    alpha: optional(real()),
    dropout: optional(probability),
    dora: optional(flag),
    rsLora: optional(flag),
    loraBias: optional(flag),
    initLora: optional(oneOf<InitLora>(...STARTS)),
    loftq: optional(LOFTQ as Rule<LoftqConfig>),
    bias: optional(oneOf<LoraConfig["bias"]>("none", "all", "lora_only")),
    alphaMode: optional(oneOf("constant", "constantScaling")),
    rankPattern: optional(mapOf(size)),
    alphaPattern: optional(mapOf(real())),
    adaLora: optional(ADALORA_RULES as Rule<AdaLoraConfig>),
  },
  {
    spelt: {
      ...COMMON_SPELT,
      rank: "r",
      lora_r: "r",
      lora_alpha: "alpha",
      loraAlpha: "alpha",
      lora_dropout: "dropout",
      loraDropout: "dropout",
      rank_pattern: "rankPattern",
      alpha_pattern: "alphaPattern",
      use_rslora: "rsLora",
      useRslora: "rsLora",
      useRsLora: "rsLora",
      use_dora: "dora",
      useDora: "dora",
      init_lora_weights: "initLora",
      initLoraWeights: "initLora",
      loftq_config: "loftq",
      loftqConfig: "loftq",
      lora_bias: "loraBias",
    },
  },
);

/** Options of a method of this family, checked and filled in. @throws LowrankError (ConfigError) naming the option */
export function loraConfig(method: Method, options: OptionsOf<LoraConfig>): LoraConfig {
  const given = checkOptions("LoRA", LORA_RULES, options);
  const config: LoraConfig = {
    r: 8,
    alpha: 8,
    dropout: 0,
    rankPattern: {},
    alphaPattern: {},
    rsLora: false,
    dora: false,
    initLora: true,
    loraBias: false,
    alphaMode: "constant",
    ...given,
    ...commonConfig(method, given as Partial<AdapterConfig>),
    loftq: given.initLora === "loftq" ? { bits: 4, iterations: 1, ...given.loftq } : undefined,
    adaLora: given.adaLora === undefined ? undefined : completeAdaLora(given.adaLora),
  };
  const fail = (why: string): never => {
    throw new LowrankError("ConfigError", `LoRA: ${why}`);
  };
  if (config.loraBias && (config.dora || typeof config.initLora !== "boolean"))
    fail("lora_bias goes with neither DoRA nor a start other than true or false");
  if (given.loftq !== undefined && given.initLora !== "loftq")
    fail(`"loftq" is for init_lora_weights "loftq", and that is ${quote(config.initLora)}; leave it out`);
  const problem = layersProblem(config) ?? tokensProblem(config.trainableTokenIndices);
  if (problem !== undefined) fail(problem);
  return config;
}

/** The alpha that gives rank `rank` the scale of the default rank. */
export function evenAlpha({ alpha, r, rsLora }: LoraConfig, rank: number): number {
  return alpha * (rsLora ? Math.sqrt(rank / r) : rank / r);
}

/** The factor of an update of this rank. */
export function scaleOf({ rsLora }: LoraConfig, alpha: number, rank: number): number {
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}
