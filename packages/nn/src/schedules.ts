/** Learning-rate schedules: pure functions from the number of finished steps to a factor. Under warm-up the first step has factor 0, as in transformers. */

export interface ScheduleOptions {
  readonly warmupSteps?: number;
  readonly totalSteps: number;
}

export type Schedule = (step: number) => number;

function warm(step: number, warmup: number): number | undefined {
  return step < warmup ? step / Math.max(1, warmup) : undefined;
}

/** Up to 1 over the warm-up, then straight down to 0 at `totalSteps`. */
export function linearSchedule({ warmupSteps = 0, totalSteps }: ScheduleOptions): Schedule {
  return (step) => warm(step, warmupSteps) ?? Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
}

/** Half a cosine from 1 to 0 after the warm-up. */
export function cosineSchedule({ warmupSteps = 0, totalSteps }: ScheduleOptions): Schedule {
  return (step) => warm(step, warmupSteps) ?? Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / Math.max(1, totalSteps - warmupSteps))));
}

export function constantSchedule({ warmupSteps = 0 }: { readonly warmupSteps?: number } = {}): Schedule {
  return (step) => warm(step, warmupSteps) ?? 1;
}
