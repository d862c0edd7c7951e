/** What is told of a step beside what it computed: its time, its rates, and the memory that it was made in. */
import type { Device } from "@lowrank/tensor";
import type { StepScalars } from "../records/sink.ts";
import type { TrainingRecord } from "./record.ts";
import type { StepResult, TrainingStep } from "./step.ts";

/** Milliseconds between two looks at the memory, which the system is asked for. */
const LOOK_MS = 250;

/** Of the steps of this process; null where there was none. */
export interface Speed {
  /** Padding included. */
  readonly tokensPerSecond: number | null;
  /** Operations of matrix products a second, in thousands of millions (`plan/flops.ts` of tensor says what counts). */
  readonly gflops: number | null;
}

interface Totals {
  seconds: number;
  tokens: number;
  flops: number;
}

/** Begins where the record stands: of a training that goes on, what was before is none of its business. */
export class Monitor {
  readonly #record: Pick<TrainingRecord, "tokens" | "durations">;
  readonly #scaler: TrainingStep["scaler"];
  readonly #device: Pick<Device, "memory" | "name">;
  readonly #all: Totals = { seconds: 0, tokens: 0, flops: 0 };
  /** Steps whose plans were there before they began. */
  readonly #steady: Totals = { seconds: 0, tokens: 0, flops: 0 };
  #tokens: number;
  #memory: Pick<StepScalars, "rss_bytes" | "device_bytes"> = {};
  #looked = -Infinity;

  constructor(
    record: Pick<TrainingRecord, "tokens" | "durations">,
    step: Pick<TrainingStep, "scaler">,
    device: Pick<Device, "memory" | "name">,
  ) {
    this.#record = record;
    this.#scaler = step.scaler;
    this.#device = device;
    this.#tokens = record.tokens;
  }

  /** After a step that counts. @param lr that it was made with */
  step({ loss, norm, norms, regularizer, allocation, plan }: StepResult, lr: number): StepScalars {
    const seconds = this.#record.durations.at(-1)!;
    const tokens = this.#record.tokens - this.#tokens;
    this.#tokens = this.#record.tokens;
    const { flops, arenaBytes, fresh } = plan;
    for (const totals of fresh ? [this.#all] : [this.#all, this.#steady]) {
      totals.seconds += seconds;
      totals.tokens += tokens;
      totals.flops += flops;
    }
    const scale = this.#scaler?.scale;
    return {
      loss,
      grad_norm: norm,
      lr,
      ...(regularizer === 0 ? {} : { regularizer }),
      ...Object.fromEntries(Object.entries(norms).map(([group, value]) => [`grad_norm/${group}`, value])),
      ...(scale === undefined ? {} : { loss_scale: scale }),
      ...(allocation === undefined ? {} : { budget: allocation.budget, ranks_kept: allocation.kept }),
      tokens,
      step_seconds: seconds,
      tokens_per_second: tokens / seconds,
      ...(flops === 0 ? {} : { gflops: flops / seconds / 1e9 }),
      arena_bytes: arenaBytes,
      ...this.#seen(),
    };
  }

  /** Steps that had to plan first say little of the others, and count only where there are no others. */
  speed(): Speed {
    const { seconds, tokens, flops } = this.#steady.seconds > 0 ? this.#steady : this.#all;
    if (seconds === 0) return { tokensPerSecond: null, gflops: null };
    return { tokensPerSecond: tokens / seconds, gflops: flops === 0 ? null : flops / seconds / 1e9 };
  }

  #seen(): Pick<StepScalars, "rss_bytes" | "device_bytes"> {
    const now = performance.now();
    if (now - this.#looked < LOOK_MS) return this.#memory;
    this.#looked = now;
    const rss = residentBytes();
    this.#memory = { ...(rss === undefined ? {} : { rss_bytes: rss }), device_bytes: this.#device.memory().reserved };
    return this.#memory;
  }
}

/** Resident size of this process; pages know none. */
function residentBytes(): number | undefined {
  const host = (globalThis as { process?: { memoryUsage?: { rss?: () => number } } }).process;
  return host?.memoryUsage?.rss?.();
}
