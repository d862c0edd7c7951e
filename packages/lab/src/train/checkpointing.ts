/** When a training is saved on its way: every so often, and when it is to stop. */
import type { Checkpoint, Checkpoints, Noted } from "../store/checkpoints.ts";
import type { TrainingRecord } from "./record.ts";
import type { TrainingState } from "./state.ts";
import { Interrupted, type Stop } from "./stop.ts";

/** How often, and how many are kept. No part of what a run is: its bits are the same. */
export interface CheckpointWords {
  /** Steps, or seconds of work; undefined: only when it is to stop. */
  readonly every: { readonly steps: number } | { readonly seconds: number } | undefined;
  readonly keep: number;
}

/** A minute of work is what a killed process may cost. */
export const CHECKPOINT_DEFAULTS: CheckpointWords = { every: { seconds: 60 }, keep: 2 };

/** Where checkpoints of a training go, and which one it goes on from. */
export interface CheckpointPlace {
  readonly store: Checkpoints;
  readonly every: CheckpointWords["every"];
  /** Bytes of the files that grow beside it, by name. */
  readonly lengths: () => Noted["lengths"];
  readonly from?: Checkpoint | undefined;
  readonly stop?: Stop | undefined;
  /** A path as people are told it. Default: as it is. */
  readonly shown?: (path: string) => string;
}

/** What is saved. */
export interface CheckpointSource {
  readonly state: TrainingState;
  readonly record: Pick<TrainingRecord, "step">;
  /** So far; what was told of the training is in its files by then. */
  readonly seconds: () => Noted["seconds"];
  /** Told of each. @param seconds that it took */
  readonly saved: (step: number, seconds: number) => void;
}

export class Checkpointing {
  readonly #place: CheckpointPlace;
  readonly #source: CheckpointSource;
  #step: number;
  #path: string | undefined;
  #time: number = performance.now();

  constructor(place: CheckpointPlace, source: CheckpointSource) {
    this.#place = place;
    this.#source = source;
    [this.#step, this.#path] = [place.from?.step ?? 0, place.from?.path];
  }

  /**
   * To be called between two steps: only what goes on is worth saving.
   * @throws Interrupted where it was asked to stop, once the state is saved
   */
  async between(): Promise<void> {
    const why = this.#place.stop?.asked;
    if (why !== undefined || this.due) await this.save();
    if (why === undefined) return;
    throw new Interrupted(
      why,
      this.#path === undefined
        ? "no step was finished, so there is nothing to save"
        : `step ${this.#step} is saved in ${this.#place.shown?.(this.#path) ?? this.#path}`,
    );
  }

  /** Whether the next look between two steps saves. */
  get due(): boolean {
    const { every } = this.#place;
    const further = this.#source.record.step - this.#step;
    if (every === undefined || further === 0) return false;
    return "steps" in every ? further >= every.steps : performance.now() - this.#time >= 1000 * every.seconds;
  }

  /** Saves the state, where it has come further. */
  async save(): Promise<void> {
    const { step } = this.#source.record;
    // a step that loss scaling skipped is made again
    if (step === this.#step) return;
    const { state, seconds, saved } = this.#source;
    const started = performance.now();
    const noted = { step, seconds: seconds(), lengths: this.#place.lengths() };
    this.#path = await this.#place.store.save(state.state(), noted);
    [this.#step, this.#time] = [step, performance.now()];
    saved(step, (this.#time - started) / 1000);
  }
}
