/** AdaLoRA (Zhang et al. 2023): LoRA as a singular value decomposition, whose ranks an allocator decides while it trains. */
import { LowrankError } from "@lowrank/tensor";
import { absent, real, size, whole } from "@lowrank/tensor/check";
import { ATTENTION_NAMES } from "../default-targets.ts";
import { AdaptedEmbedding } from "../layers/adapted-embedding.ts";
import { SvdUpdate } from "../layers/svd.ts";
import {
  decay,
  maskRule,
  requireShrinking,
  stepsOf,
  stepsOrFraction,
  type AdaLoraConfig,
} from "../lora/adalora-config.ts";
import { adaLoraIdle } from "../lora/adalora-idle.ts";
import { loraConfig, type AdaLoraAdapterConfig } from "../lora/config.ts";
import { LORA_FILE, parseLora, writeLora, type LoraFile } from "../lora/file.ts";
import { rankRow } from "../lora/rows.ts";
import { refuseScale, timesStrength } from "../lora/scales.ts";
import { lora } from "./lora.ts";
import type { ChosenTarget, FileKeys, Method, OptionsOf, SavedRow, TargetRow } from "./method.ts";
import type { Unmatched } from "../names.ts";

interface AdaLoraFile extends Omit<LoraFile, "rank_pattern"> {
  /** Kept ranks, where LoRA's files have ranks. */
  readonly rank_pattern?: Readonly<Record<string, readonly boolean[]>>;
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

const FILE: FileKeys<AdaLoraFile> = {
  ...LORA_FILE,
  className: "AdaLoraConfig",
  rules: {
    ...LORA_FILE.rules,
    rank_pattern: absent(maskRule),
    init_r: absent(size),
    target_r: absent(size),
    tinit: absent(stepsOrFraction),
    tfinal: absent(stepsOrFraction),
    deltaT: absent(stepsOrFraction),
    beta1: absent(decay),
    beta2: absent(decay),
    orth_reg_weight: absent(real({ min: 0 })),
    total_step: absent(whole(1)),
  },
};

export const adalora: Method<AdaLoraAdapterConfig> = {
  name: "adalora",
  label: "AdaLoRA",
  peftType: "ADALORA",
  meantBy: (options) => options["adaLora"] !== undefined,
  file: FILE,
  tensors: lora.tensors,
  targets: "adalora",
  usualNames: ATTENTION_NAMES,
  cutsVocabulary: true,
  defaults: complete,
  parse: (file: AdaLoraFile, common) => {
    const { rank_pattern: rankMask, ...rest } = file;
    return complete({ ...parseLora(rest, common), adaLora: { ...scheduleOf(file), rankMask } });
  },
  write: (config) => {
    const { adaLora: ada } = config;
    return {
      ...writeLora(config),
      alpha_pattern: config.alphaPattern,
      rank_pattern: ada.rankMask ?? null,
      init_r: ada.initR,
      target_r: ada.targetR,
      ...stepsOf(ada),
      beta1: ada.beta1,
      beta2: ada.beta2,
      orth_reg_weight: ada.orthRegWeight,
      total_step: ada.totalStep,
    };
  },
  idle: adaLoraIdle,
  resolve,
  make: (config) => (row, layer) => {
    if (layer instanceof AdaptedEmbedding)
      throw new LowrankError(
        "NotBuiltError",
        `AdaLoRA on the embedding ${row.module} is not built; name projections only`,
      );
    return new SvdUpdate(layer.site, {
      rank: row.rank!,
      scale: numerator(config, row.alpha!),
      dropout: config.dropout,
      initialRank: config.adaLora.initR,
      identity: config.initLora !== false,
    });
  },
  scaled: (config, { alpha }, strength) => numerator(config, alpha!) * strength,
  saved,
  keeping: (config, masks) => ({
    ...config,
    adaLora: {
      ...config.adaLora,
      rankMask: Object.fromEntries([...masks].map(([path, mask]) => [`${path}.lora_E`, mask])),
    },
  }),
};

function complete(options: OptionsOf<AdaLoraAdapterConfig>): AdaLoraAdapterConfig {
  const config = loraConfig(adalora, options);
  if (config.adaLora === undefined)
    throw new LowrankError(
      "ConfigError",
      "AdaLoRA: its schedule must be given; say adaLora: adaLoraConfig({ totalStep: … })",
    );
  if (config.dora)
    throw new LowrankError("ConfigError", "AdaLoRA: DoRA has no singular values to rank; choose one of the two");
  const complete = config as AdaLoraAdapterConfig;
  if (config.onUnmatchedPattern === "error") {
    const idle = adaLoraIdle(complete).find((what) => !what.startsWith("r ("));
    if (idle !== undefined) throw new LowrankError("ConfigError", `AdaLoRA: ${idle}`);
    requireShrinking(complete.adaLora);
  }
  return complete;
}

function scheduleOf(file: AdaLoraFile): Omit<AdaLoraConfig, "rankMask"> {
  return {
    initR: file.init_r ?? 12,
    targetR: file.target_r ?? 8,
    tinit: file.tinit ?? 0,
    tfinal: file.tfinal ?? 0,
    deltaT: file.deltaT ?? 1,
    beta1: file.beta1 ?? 0.85,
    beta2: file.beta2 ?? 0.85,
    orthRegWeight: file.orth_reg_weight ?? 0.5,
    totalStep: file.total_step ?? 1,
  };
}

/** PEFT takes the initial rank for an alpha of 0 or less. */
function numerator({ adaLora }: AdaLoraAdapterConfig, alpha: number): number {
  return alpha > 0 ? alpha : adaLora.initR;
}

function resolve(chosen: readonly ChosenTarget[], config: AdaLoraAdapterConfig, unmatched: Unmatched): TargetRow[] {
  const { initR, rankMask } = config.adaLora;
  const paths = chosen.map(({ path }) => path);
  for (const key of Object.keys(rankMask ?? {}))
    if (!paths.includes(key.replace(/\.lora_E$/, "")))
      unmatched.name(
        "rank_pattern",
        key,
        paths.map((path) => `${path}.lora_E`),
      );
  return chosen.map((target) => {
    // kept ranks of a finished adapter, the initial rank otherwise
    const rank = rankMask?.[`${target.path}.lora_E`]?.filter(Boolean).length ?? initR;
    const scale = numerator(config, config.alpha) / (initR + 1e-5);
    return rankRow(target, { rank, alpha: config.alpha, scale, extra: rank });
  });
}

function saved(config: AdaLoraAdapterConfig, rows: readonly SavedRow[], strength: number): AdaLoraAdapterConfig {
  const uniform = rows.every(({ row, update }) => update.scale === numerator(config, row.alpha!) * strength);
  if (uniform && strength === 1) return config;
  if (!uniform || !rows.every(({ row }) => row.alpha! > 0 && strength > 0))
    return refuseScale("AdaLoRA has one alpha, above 0, for all modules");
  return timesStrength(config, strength);
}
