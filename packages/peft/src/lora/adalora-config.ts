/** AdaLoRA's part of a configuration: ranks, schedule, averages. */
import { LowrankError } from "@lowrank/tensor";
import {
  checkOptions,
  fields,
  leaf,
  listOf,
  flag,
  mapOf,
  optional,
  real,
  size,
  whole,
  type Rule,
} from "@lowrank/tensor/check";

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

/** Steps, or a part of the training. */
export const stepsOrFraction: Rule<number> = leaf(
  "a whole number of steps or a fraction of the training between 0 and 1",
  (v) => typeof v === "number" && v >= 0 && (Number.isSafeInteger(v) || v < 1),
);
/** How far an average looks back. */
export const decay: Rule<number> = real({ above: 0, below: 1 });
export const maskRule: Rule<Record<string, boolean[]>> = mapOf(listOf(flag));

export const ADALORA_RULES: Rule<Partial<AdaLoraConfig> & Pick<AdaLoraConfig, "totalStep">> = fields<
  Partial<AdaLoraConfig> & Pick<AdaLoraConfig, "totalStep">
>(
  {
    initR: optional(size),
    targetR: optional(size),
    tinit: optional(stepsOrFraction),
    tfinal: optional(stepsOrFraction),
    deltaT: optional(stepsOrFraction),
    beta1: optional(decay),
    beta2: optional(decay),
    orthRegWeight: optional(real({ min: 0 })),
    totalStep: whole(1),
    rankMask: optional(maskRule),
  },
  {
    spelt: {
      init_r: "initR",
      r: "initR",
      target_r: "targetR",
      targetRank: "targetR",
      t_init: "tinit",
      tInit: "tinit",
      tFinal: "tfinal",
      delta_t: "deltaT",
      total_step: "totalStep",
      totalSteps: "totalStep",
      total_steps: "totalStep",
      orth_reg_weight: "orthRegWeight",
      rank_pattern: "rankMask",
      rankPattern: "rankMask",
    },
  },
);

/** Fills in PEFT's defaults. @throws LowrankError (ConfigError) on what PEFT refuses, and on what would never finish */
export function adaLoraConfig(options: Partial<AdaLoraConfig> & Pick<AdaLoraConfig, "totalStep">): AdaLoraConfig {
  const ada = completeAdaLora(checkOptions("adaLoraConfig", ADALORA_RULES, options));
  requireShrinking(ada);
  return ada;
}

/** PEFT's files may say otherwise, as their ranks are decided already; whoever trains may not. */
export function requireShrinking({ initR, targetR }: AdaLoraConfig): void {
  if (targetR > initR)
    throw new LowrankError(
      "ConfigError",
      `AdaLoRA: target_r ${targetR} is more than init_r ${initR}, the rank that modules start with; ranks are only taken away`,
    );
}

/** The same for options that were checked already. */
export function completeAdaLora(given: Partial<AdaLoraConfig> & Pick<AdaLoraConfig, "totalStep">): AdaLoraConfig {
  const ada: AdaLoraConfig = {
    initR: 12,
    targetR: 8,
    tinit: 0,
    tfinal: 0,
    deltaT: 1,
    beta1: 0.85,
    beta2: 0.85,
    orthRegWeight: 0.5,
    rankMask: undefined,
    ...given,
  };
  const { tinit, tfinal } = stepsOf(ada);
  if (tinit >= ada.totalStep - tfinal)
    throw new LowrankError(
      "ConfigError",
      `AdaLoRA: tinit ${tinit} and tfinal ${tfinal} leave no step of ${ada.totalStep} for the budget to shrink; tinit must be less than total_step − tfinal`,
    );
  for (const [path, mask] of Object.entries(ada.rankMask ?? {})) {
    if (mask.length !== ada.initR)
      throw new LowrankError(
        "ConfigError",
        `AdaLoRA: the kept ranks of ${path} are ${mask.length}, and modules start with init_r ${ada.initR}`,
      );
  }
  return ada;
}

/** Fractions of training as steps. */
export function stepsOf(ada: Pick<AdaLoraConfig, "tinit" | "tfinal" | "deltaT" | "totalStep">): {
  tinit: number;
  tfinal: number;
  deltaT: number;
} {
  const steps = (x: number): number => (x > 0 && x < 1 ? Math.round(x * ada.totalStep) : x);
  return { tinit: steps(ada.tinit), tfinal: steps(ada.tfinal), deltaT: Math.max(1, steps(ada.deltaT)) };
}
