/** LoRA's keys of an `adapter_config.json`, which DoRA and AdaLoRA have too. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  absent,
  anyOf,
  fields,
  flag,
  mapOf,
  name,
  oneOf,
  probability,
  real,
  size,
  type Rule,
} from "@lowrank/tensor/check";
import {
  CONFIG_FILE,
  defaultsUnder,
  isOn,
  LAYER_KEYS,
  MODULE_NAMES,
  notEmpty,
  parseLayers,
  said,
  sortedNames,
  writeLayers,
  type LayerKeys,
} from "../methods/file-parts.ts";
import { TOKEN_INDICES } from "../methods/common.ts";
import type { FileCommon, FileKeys, OptionsOf } from "../methods/method.ts";
import { evenAlpha, type InitLora, type LoftqConfig, type LoraConfig } from "./config.ts";

/** Empty where the start is another. */
interface LoftqFile {
  readonly loftq_bits?: number;
  readonly loftq_iter?: number;
}
const LOFTQ: Rule<LoftqFile> = fields<LoftqFile>(
  { loftq_bits: absent(size), loftq_iter: absent(size) },
  { unknown: "keep" },
);

/** The keys that are read, where they are neither absent nor null. */
export interface LoraFile extends LayerKeys {
  readonly r?: number;
  readonly lora_alpha?: number;
  readonly lora_dropout?: number;
  readonly exclude_modules?: string | readonly string[];
  readonly rank_pattern?: Readonly<Record<string, number>>;
  readonly alpha_pattern?: Readonly<Record<string, number>>;
  readonly bias?: LoraConfig["bias"];
  readonly init_lora_weights?: boolean | string;
  readonly loftq_config?: LoftqFile;
  readonly trainable_token_indices?: number[] | Record<string, number[]>;
  readonly use_rslora?: boolean;
  readonly use_dora?: boolean;
  readonly lora_bias?: boolean;
  readonly fan_in_fan_out?: boolean;
}

export const LORA_FILE: FileKeys<LoraFile> = {
  className: "LoraConfig",
  rules: {
    r: absent(size),
    lora_alpha: absent(real()),
    lora_dropout: absent(probability),
    exclude_modules: absent(MODULE_NAMES),
    rank_pattern: absent(mapOf(size)),
    alpha_pattern: absent(mapOf(real())),
    ...LAYER_KEYS,
    bias: absent(oneOf<LoraConfig["bias"]>("none", "all", "lora_only")),
    init_lora_weights: absent(anyOf(flag, name)),
    loftq_config: absent(LOFTQ),
    trainable_token_indices: absent(TOKEN_INDICES),
    use_rslora: absent(flag),
    use_dora: absent(flag),
    lora_bias: absent(flag),
    fan_in_fan_out: absent(flag),
  },
  notBuilt: [
    ["use_qalora", isOn],
    ["use_bdlora", isOn],
    ["layer_replication", isOn],
    ["target_parameters", notEmpty],
    ["alora_invocation_tokens", isOn],
    ["arrow_config", isOn],
    ["kasa_config", isOn],
    ["monteclora_config", isOn],
    ["velora_config", isOn],
    ["megatron_config", isOn],
    ["ensure_weight_tying", isOn],
  ],
  // further fields of PEFT's LoraConfig (0.21.2)
  harmless: ["corda_config", "eva_config", "lora_ga_config", "megatron_core", "qalora_group_size", "runtime_config"],
  meant: {
    rank: "r",
    alpha: "lora_alpha",
    dropout: "lora_dropout",
    dora: "use_dora",
    rslora: "use_rslora",
    targets: "target_modules",
  },
};

/** Starts by the names PEFT takes, in any case where PEFT does not mind; `eva` leaves the base alone and gives A values that the file holds. */
const STARTS: Readonly<Record<string, InitLora>> = {
  gaussian: "gaussian",
  orthogonal: "orthogonal",
  pissa: "pissa",
  olora: "olora",
  loftq: "loftq",
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
  if (/^(corda|lora_ga|mica)/.test(named.toLowerCase()))
    return refuse("NotBuiltError", "is not built: it changes more than what A and B start from");
  return refuse("FormatError", `is no start that PEFT knows; there are true, false, ${Object.keys(STARTS).join(", ")}`);
}

function loftqOf({ loftq_bits: bits = 4, loftq_iter: iterations = 1 }: LoftqFile): LoftqConfig {
  if (bits !== 4)
    throw new LowrankError(
      "NotBuiltError",
      `${CONFIG_FILE}: "loftq_config": loftq_bits ${bits} is not built; 4, which is NF4, is`,
    );
  return { bits, iterations };
}

/** Options that the keys of a file come to. */
export function parseLora(file: LoraFile, common: FileCommon): OptionsOf<LoraConfig> {
  const initLora = startNamed(file.init_lora_weights);
  return {
    ...common,
    ...parseLayers(file),
    r: file.r ?? 8,
    alpha: file.lora_alpha ?? 8,
    dropout: file.lora_dropout ?? 0,
    excludeModules: said(file.exclude_modules),
    trainableTokenIndices: file.trainable_token_indices,
    rankPattern: file.rank_pattern ?? {},
    alphaPattern: file.alpha_pattern ?? {},
    rsLora: file.use_rslora ?? false,
    dora: file.use_dora ?? false,
    loraBias: file.lora_bias ?? false,
    bias: file.bias ?? "none",
    initLora,
    ...(initLora === "loftq" ? { loftq: loftqOf(file.loftq_config ?? {}) } : {}),
  };
}

/** Alphas as PEFT needs them: it has no word for a constant scale, so every rank of the pattern gets the alpha that belongs to it. */
function alphasFor(config: LoraConfig): Readonly<Record<string, number>> {
  if (config.alphaMode === "constant") return config.alphaPattern;
  const implied = Object.entries(config.rankPattern).filter(([key]) => config.alphaPattern[key] === undefined);
  return {
    ...config.alphaPattern,
    ...Object.fromEntries(implied.map(([key, rank]) => [key, evenAlpha(config, rank)])),
  };
}

/** Fields of PEFT 0.14, which every version reads. */
export function writeLora(config: LoraConfig): Record<string, unknown> {
  const { source } = config;
  return {
    r: config.r,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    exclude_modules: sortedNames(config.excludeModules),
    rank_pattern: config.rankPattern,
    init_lora_weights: spellingOf(config),
    alpha_pattern: alphasFor(config),
    ...writeLayers(config),
    use_rslora: config.rsLora,
    use_dora: config.dora,
    lora_bias: config.loraBias,
    bias: config.bias,
    // a field of later versions of PEFT
    ...(config.trainableTokenIndices === undefined ? {} : { trainable_token_indices: config.trainableTokenIndices }),
    ...(config.loftq === undefined
      ? {}
      : { loftq_config: { loftq_bits: config.loftq.bits, loftq_iter: config.loftq.iterations } }),
    ...defaultsUnder(source, {
      eva_config: null,
      layer_replication: null,
      ...(config.loftq === undefined ? { loftq_config: {} } : {}),
      megatron_config: null,
      megatron_core: "megatron.core",
    }),
  };
}

/** The start in the file's own word, where that still means the same. */
function spellingOf({ source, initLora }: LoraConfig): unknown {
  const named = source["init_lora_weights"];
  return typeof named === "string" && STARTS[named.toLowerCase()] === initLora ? named : initLora;
}
