/** How far a training goes, and how the learning rate moves on the way: by steps, or by the clock. */
import { constantSchedule, cosineSchedule, linearSchedule, type Schedule } from "@lowrank/nn";
import type { TrainOptions } from "../config/study.ts";
import type { TrainingRecord } from "./record.ts";

export interface Pace {
  /** Learning rate of the step after `finished` ones. */
  lr(finished: number): number;
  done(): boolean;
}

/** What is told of a schedule. */
export type PaceWords = Pick<TrainOptions, "schedule" | "warmup"> & { readonly lr: number };

/** Factor on the learning rate after `step` finished steps of `total`. */
function scheduleOf({ schedule, warmup }: PaceWords, totalSteps: number): Schedule {
  const warmupSteps = Math.round(warmup * totalSteps);
  if (schedule === "constant") return constantSchedule({ warmupSteps });
  return (schedule === "linear" ? linearSchedule : cosineSchedule)({ totalSteps, warmupSteps });
}

export function paceBySteps(words: PaceWords, total: number, record: Pick<TrainingRecord, "step">): Pace {
  const factor = scheduleOf(words, total);
  return { lr: (finished) => words.lr * factor(finished), done: () => record.step >= total };
}

/** Resolution of a schedule that follows the clock. */
const CLOCK_STEPS = 1_000_000;

/** The time that was trained decides, not the steps: a resumed training goes on where it was. */
export function paceByClock(words: PaceWords, minutes: number, record: Pick<TrainingRecord, "seconds">): Pace {
  const factor = scheduleOf(words, CLOCK_STEPS);
  return {
    lr: () => words.lr * factor(Math.round((CLOCK_STEPS * record.seconds) / (60 * minutes))),
    done: () => record.seconds >= 60 * minutes,
  };
}
