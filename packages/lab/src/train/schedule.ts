/** Learning rate of a step under a config's schedule. */
import type { TrainOptions } from "../config/study.ts";

/**
 * Factor on the learning rate at optimiser step `step` (from 0) of `total`: linear rise during the warm-up (0 at the first
 * step), then constant, linear or half-cosine decay to 0. Same as transformers' `get_*_schedule_with_warmup`.
 */
export function scheduleFactor(schedule: TrainOptions["schedule"], step: number, total: number, warmupSteps: number): number {
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  const progress = (step - warmupSteps) / Math.max(1, total - warmupSteps);
  if (schedule === "constant") return 1;
  return schedule === "linear" ? Math.max(0, 1 - progress) : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
