/**
 * How many singular triplets may live at each step: AdaLoRA's cubic schedule (Zhang et al. 2023, eq. 10), with PEFT's rounding.
 * Steps count from 1, as the allocator is called after the optimizer's step. Pure numbers, no tensors.
 */
import { LowrankError } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { SCHEDULE_RULES, type ScheduleOptions } from "./options.ts";

/** What happens after one optimizer step. */
export interface ScheduledStep {
  readonly step: number;
  readonly budget: number;
  /** PEFT's mask flag: ranks are chosen anew. At `finalStep` they are, whatever this says. */
  readonly mask: boolean;
  /** Averages learn from this step. */
  readonly observe: boolean;
  /** Ranks are chosen anew. */
  readonly select: boolean;
  /** The choice is final and is enforced again. */
  readonly hold: boolean;
}

export class BudgetSchedule {
  readonly totalSteps: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly deltaT: number;

  /** Throws ConfigError where the steps leave no room to decide in. */
  constructor(options: ScheduleOptions) {
    checkOptions("BudgetSchedule", SCHEDULE_RULES, options);
    const { totalSteps } = options;
    whole("totalSteps", totalSteps, 1);
    this.totalSteps = totalSteps;
    this.tinit = stepsOf("tinit", options.tinit ?? 0, totalSteps);
    this.tfinal = stepsOf("tfinal", options.tfinal ?? 0, totalSteps);
    this.deltaT = options.deltaT ?? 1;
    whole("deltaT", this.deltaT, 1);
    if (this.tinit >= this.finalStep) {
      throw new LowrankError(
        "ConfigError",
        `budget schedule: tinit ${this.tinit} and tfinal ${this.tfinal} leave no step of ${totalSteps} in which the budget falls; tinit must be less than totalSteps − tfinal`,
      );
    }
  }

  /** The step whose choice is final. */
  get finalStep(): number {
    return this.totalSteps - this.tfinal;
  }

  /** @param step finished optimizer steps, from 1 */
  at(step: number, initial: number, target: number): ScheduledStep {
    const { tinit, finalStep, deltaT } = this;
    const phase = { step, observe: step < finalStep, hold: step > finalStep };
    if (step <= tinit) return { ...phase, budget: initial, mask: false, select: false };
    if (step > finalStep) return { ...phase, budget: target, mask: true, select: false };
    const left = 1 - (step - tinit) / (finalStep - tinit);
    const mask = step % deltaT === 0;
    return {
      ...phase,
      budget: Math.trunc((initial - target) * (left * left * left) + target),
      mask,
      select: mask || step === finalStep,
    };
  }
}

function whole(what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new LowrankError(
      "ConfigError",
      `budget schedule: ${what} must be a whole number of at least ${least}, got ${value}`,
    );
}

/** Whole numbers are steps; anything else must be a fraction of the training. */
function stepsOf(what: string, value: number, totalSteps: number): number {
  if (Number.isInteger(value) && value >= 0) return value;
  if (value > 0 && value < 1) return Math.round(value * totalSteps);
  throw new LowrankError(
    "ConfigError",
    `budget schedule: ${what} must be a whole number of steps or a fraction of the training between 0 and 1, got ${value}`,
  );
}
