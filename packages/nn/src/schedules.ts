/** Learning-rate schedules: pure functions from the number of finished steps to a factor. Under warm-up the first step has factor 0, as in transformers. */
import { checkOptions, fields, optional, whole } from "@lowrank/tensor/check";

export interface ScheduleOptions {
  readonly warmupSteps?: number;
  readonly totalSteps: number;
}

export type Schedule = (step: number) => number;

const SPELT = { warmup: "warmupSteps", warmup_steps: "warmupSteps", num_warmup_steps: "warmupSteps", total: "totalSteps", steps: "totalSteps", num_training_steps: "totalSteps" };
const RULES = fields<ScheduleOptions>({ warmupSteps: optional(whole(0)), totalSteps: whole(0) }, { spelt: SPELT });
const CONSTANT = fields<Pick<ScheduleOptions, "warmupSteps">>({ warmupSteps: optional(whole(0)) }, { spelt: SPELT });

function warm(step: number, warmup: number): number | undefined {
  return step < warmup ? step / Math.max(1, warmup) : undefined;
}

/** Up to 1 over the warm-up, then straight down to 0 at `totalSteps`. */
export function linearSchedule(options: ScheduleOptions): Schedule {
  const { warmupSteps = 0, totalSteps } = checkOptions("linearSchedule", RULES, options);
  return (step) => warm(step, warmupSteps) ?? Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
}

/** Half a cosine from 1 to 0 after the warm-up. */
export function cosineSchedule(options: ScheduleOptions): Schedule {
  const { warmupSteps = 0, totalSteps } = checkOptions("cosineSchedule", RULES, options);
  return (step) => warm(step, warmupSteps) ?? Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / Math.max(1, totalSteps - warmupSteps))));
}

export function constantSchedule(options: Pick<ScheduleOptions, "warmupSteps"> = {}): Schedule {
  const { warmupSteps = 0 } = checkOptions("constantSchedule", CONSTANT, options);
  return (step) => warm(step, warmupSteps) ?? 1;
}
