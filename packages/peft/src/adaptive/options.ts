/** Which options allocators take. What their numbers may be depends on one another, and is checked where they are used. */
import { fields, oneOf, optional, real, type Rule } from "@lowrank/tensor/check";
import type { AdaLoraOptions } from "./adalora.ts";
import type { AllocatorOptions } from "./allocator.ts";
import type { ScheduleOptions } from "./schedule.ts";

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
export const ADALORA_OPTION_RULES: Rule<AdaLoraOptions> = fields<AdaLoraOptions>(
  { ...allocator, beta1: number, beta2: number, orthRegWeight: number },
  { spelt },
);
