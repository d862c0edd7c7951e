/** What a training has done so far: steps, tokens, losses, evaluations. Part of its state. */
import type { Batch } from "../data/examples.ts";
import type { Evaluation } from "../store/result.ts";
import { valuesPart, type Json, type Saved, type State, type Stateful } from "./state.ts";
import type { StepResult } from "./step.ts";

/** Weight of the past in the smoothed loss: an average over about the last fifty steps. */
const SMOOTHING = 0.98;

export class TrainingRecord implements Stateful {
  /** Finished optimizer steps; one that loss scaling skipped is none. */
  step = 0;
  /** Seconds of training, evaluations left out. */
  seconds = 0;
  /** Positions that were computed, padding included. */
  tokens = 0;
  /** NaN before the first step. */
  smoothedLoss: number = Number.NaN;
  evaluations: readonly Evaluation[] = [];
  /** The one before the first step, where one was asked for; not among the others, which decide things. */
  start: Evaluation | undefined;
  /** What the objective held beside the loss, step by step. */
  readonly regularizers: number[] = [];
  /** Seconds of each step since this process began: measured, and no part of the state. */
  readonly durations: number[] = [];
  #lossSum = 0;
  #lossCount = 0;
  readonly #part: Stateful = valuesPart(
    () => this.#values(),
    (values) => this.#restore(values),
  );

  /** Time that a step took, whether it counts or not. */
  took(seconds: number): void {
    this.durations.push(seconds);
    this.seconds += seconds;
  }

  /** A step that counts. */
  stepped({ regularizer }: StepResult, parts: readonly Batch[]): void {
    this.step++;
    this.regularizers.push(regularizer);
    for (const { rows, length } of parts) this.tokens += rows * length;
  }

  /** Its loss, once it is known to be a number. The last batch of a pass may be smaller: what counts is counted, not batches. */
  lost({ loss }: StepResult, parts: readonly Batch[]): void {
    const counted = parts.reduce((sum, part) => sum + part.counted, 0);
    this.#lossSum += loss * counted;
    this.#lossCount += counted;
    this.smoothedLoss = Number.isNaN(this.smoothedLoss) ? loss : SMOOTHING * this.smoothedLoss + (1 - SMOOTHING) * loss;
  }

  /** Mean loss since this was asked last. */
  takeMeanLoss(): number {
    const mean = this.#lossSum / Math.max(1, this.#lossCount);
    [this.#lossSum, this.#lossCount] = [0, 0];
    return mean;
  }

  state(): State {
    return this.#part.state();
  }

  restore(saved: Saved): void | Promise<void> {
    return this.#part.restore(saved);
  }

  #values(): Json {
    return {
      step: this.step,
      seconds: this.seconds,
      tokens: this.tokens,
      smoothedLoss: Number.isNaN(this.smoothedLoss) ? null : this.smoothedLoss,
      lossSum: this.#lossSum,
      lossCount: this.#lossCount,
      evaluations: this.evaluations as unknown as Json,
      ...(this.start === undefined ? {} : { start: this.start as unknown as Json }),
      regularizers: [...this.regularizers],
    };
  }

  #restore(values: Json): void {
    const saved = values as unknown as {
      readonly step: number;
      readonly seconds: number;
      readonly tokens: number;
      readonly smoothedLoss: number | null;
      readonly lossSum: number;
      readonly lossCount: number;
      readonly evaluations: readonly Evaluation[];
      readonly start?: Evaluation;
      readonly regularizers: readonly number[];
    };
    [this.step, this.seconds, this.tokens] = [saved.step, saved.seconds, saved.tokens];
    this.smoothedLoss = saved.smoothedLoss ?? Number.NaN;
    [this.#lossSum, this.#lossCount] = [saved.lossSum, saved.lossCount];
    this.evaluations = saved.evaluations;
    this.start = saved.start;
    this.regularizers.splice(0, this.regularizers.length, ...saved.regularizers);
  }
}
