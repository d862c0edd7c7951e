/** Which options allocators take. What their numbers may be depends on one another, and is checked where they are used. */
import { fields, oneOf, optional, real, type Rule } from "@lowrank/tensor/check";

export interface ScheduleOptions {
  /** Optimizer steps of the whole training. */
  readonly totalSteps: number;
  /** Steps at the full budget: a whole number, or a fraction of the training below 1. Default 0. */
  readonly tinit?: number | undefined;
  /** Steps after the last decision: a whole number, or a fraction of the training below 1. Default 0. */
  readonly tfinal?: number | undefined;
  /** Steps between two decisions. Default 1. */
  readonly deltaT?: number | undefined;
}

export interface AllocatorOptions extends ScheduleOptions {
  /** Triplets per module that stay, on average. Default 8. */
  readonly targetRank?: number;
  /**
   * `strict` (default): exactly the budget stays (best score first, of equal ones the earlier module's, then the lower index), and
   * gradients that are missing or zero, scores that are all zero or not finite, and training that ends before the final choice are
   * errors. Gradients are those before clipping.
   * `peft`: PEFT's masks to the bit. Everything up to the k-th smallest score goes, ties included, whatever the scores are.
   * Gradients are those after clipping, which is what PEFT finds in `.grad` under a Trainer.
   */
  readonly compat?: "strict" | "peft";
}

/** Of scores that are no averages. */
export interface ScoredOptions extends AllocatorOptions {
  /** Weight of the orthogonality regularizer. Default 0: there is none. */
  readonly orthRegWeight?: number;
}

export interface AdaLoraOptions extends AllocatorOptions {
  /** Decay of the smoothed sensitivity. Default 0.85. */
  readonly beta1?: number;
  /** Decay of the smoothed uncertainty. Default 0.85. */
  readonly beta2?: number;
  /** Weight of the orthogonality regularizer. Default 0.5, PEFT's; the authors' scripts use 0.1. */
  readonly orthRegWeight?: number;
}

const number = optional(real());
const schedule = { totalSteps: real(), tinit: number, tfinal: number, deltaT: number } as const;
const allocator = { ...schedule, targetRank: number, compat: optional(oneOf("strict", "peft")) } as const;
const spelt = {
  totalStep: "totalSteps",
  total_step: "totalSteps",
  total_steps: "totalSteps",
  steps: "totalSteps",
  delta_t: "deltaT",
  targetR: "targetRank",
  target_r: "targetRank",
  orth_reg_weight: "orthRegWeight",
} as const;

export const SCHEDULE_RULES: Rule<ScheduleOptions> = fields<ScheduleOptions>(schedule, { spelt });
export const ALLOCATOR_RULES: Rule<AllocatorOptions> = fields<AllocatorOptions>(allocator, { spelt });
export const SCORED_RULES: Rule<ScoredOptions> = fields<ScoredOptions>(
  { ...allocator, orthRegWeight: number },
  { spelt },
);
export const ADALORA_OPTION_RULES: Rule<AdaLoraOptions> = fields<AdaLoraOptions>(
  { ...allocator, beta1: number, beta2: number, orthRegWeight: number },
  { spelt },
);
