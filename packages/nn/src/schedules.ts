/** Learning-rate schedules: pure functions from the number of finished steps to a factor. Under warm-up the first step has factor 0, as in transformers. */
import { checkOptions, fields, oneOf, optional, whole, type Rule } from "@lowrank/tensor/check";

export interface ScheduleOptions<Name extends string = string> {
  /** Where the options come from a file that names its schedule: must be this one's name. */
  readonly name?: Name;
  readonly warmupSteps?: number;
  readonly totalSteps: number;
}

type ConstantOptions = Omit<ScheduleOptions<"constant">, "totalSteps">;

export type Schedule = (step: number) => number;

const SPELT = {
  warmup: "warmupSteps",
  warmup_steps: "warmupSteps",
  num_warmup_steps: "warmupSteps",
  total: "totalSteps",
  steps: "totalSteps",
  num_training_steps: "totalSteps",
};
const rules = <Name extends string>(name: Name): Rule<ScheduleOptions<Name>> =>
  fields<ScheduleOptions<Name>>(
    { name: optional(oneOf(name)), warmupSteps: optional(whole(0)), totalSteps: whole(0) },
    { spelt: SPELT },
  );
const LINEAR = rules("linear");
const COSINE = rules("cosine");
const CONSTANT = fields<ConstantOptions>(
  { name: optional(oneOf("constant")), warmupSteps: optional(whole(0)) },
  { spelt: SPELT },
);

function warm(step: number, warmup: number): number | undefined {
  return step < warmup ? step / Math.max(1, warmup) : undefined;
}

/** Up to 1 over the warm-up, then straight down to 0 at `totalSteps`. */
export function linearSchedule(options: ScheduleOptions<"linear">): Schedule {
  const { warmupSteps = 0, totalSteps } = checkOptions("linearSchedule", LINEAR, options);
  return (step) => warm(step, warmupSteps) ?? Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
}

/** Half a cosine from 1 to 0 after the warm-up. */
export function cosineSchedule(options: ScheduleOptions<"cosine">): Schedule {
  const { warmupSteps = 0, totalSteps } = checkOptions("cosineSchedule", COSINE, options);
  return (step) =>
    warm(step, warmupSteps) ??
    Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / Math.max(1, totalSteps - warmupSteps))));
}

export function constantSchedule(options: ConstantOptions = {}): Schedule {
  const { warmupSteps = 0 } = checkOptions("constantSchedule", CONSTANT, options);
  return (step) => warm(step, warmupSteps) ?? 1;
}
