/** Ends a training whose evaluations get no better. Part of its state: a training that is resumed has as much patience left. */
import type { TrainOptions } from "../config/study.ts";
import type { Judge } from "./judge.ts";
import { valuesPart, type Saved, type State, type Stateful } from "./state.ts";

export type EarlyStopWords = Pick<NonNullable<TrainOptions["earlyStop"]>, "patience" | "minDelta">;

export class EarlyStop implements Stateful {
  readonly judge: Judge;
  readonly #words: EarlyStopWords;
  /** Undefined before the first number. */
  #best: number | undefined;
  /** Evaluations since the best one. */
  #waited = 0;
  readonly #part: Stateful = valuesPart(
    () => ({ best: this.#best ?? null, waited: this.#waited }),
    ({ best, waited }) => {
      this.#best = best ?? undefined;
      this.#waited = waited;
    },
  );

  constructor(judge: Judge, words: EarlyStopWords) {
    this.judge = judge;
    this.#words = words;
  }

  /** The value of an evaluation. One that is no number is no improvement. */
  saw(value: number): void {
    if (this.#improves(value)) [this.#best, this.#waited] = [value, 0];
    else this.#waited++;
  }

  #improves(value: number): boolean {
    if (this.#best === undefined) return !Number.isNaN(value);
    const gain = this.judge.better === "higher" ? value - this.#best : this.#best - value;
    return gain > this.#words.minDelta;
  }

  /** Whether to end here. */
  get stops(): boolean {
    return this.#waited >= this.#words.patience;
  }

  state(): State {
    return this.#part.state();
  }

  restore(saved: Saved): void | Promise<void> {
    return this.#part.restore(saved);
  }
}
