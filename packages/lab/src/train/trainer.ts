/** The loop of every training: a batch, a step, who watches. `run`, and `pretrain`, are configurations of it. */
import { NumericsError, type Device } from "@lowrank/tensor";
import { DataCursor, type CursorOptions } from "../data/cursor.ts";
import type { Batch, Examples } from "../data/examples.ts";
import type { RunError } from "../errors.ts";
import type { Task } from "../records/task.ts";
import { breather } from "../text/breath.ts";
import type { Pace } from "./pace.ts";
import { TrainingRecord } from "./record.ts";
import { TrainingState, valuesPart, type Stateful } from "./state.ts";
import { TrainingStep, type StepOptions, type StepResult, type Trainable } from "./step.ts";

/** Who is told of a training, and may look at it between two steps. */
export interface Watcher {
  /** Before each step, so between two of them. What it throws ends the training, and everything is as after the last step. */
  between?(): void | Promise<void>;
  /** Loss scaling found gradients that are not finite: nothing changed, and the step does not count. */
  skipped?(): void;
  /** After a step that counts. @param lr that it was made with */
  stepped?(result: StepResult, lr: number): void | Promise<void>;
  /** What to say where a value is no number. */
  diverged(divergence: Divergence): RunError;
}

/** A value that is not finite, which ends a training. */
export interface Divergence {
  readonly step: number;
  /** The operation that made it, where that is known; else what was seen. */
  readonly what: string;
  readonly named: boolean;
}

export interface TrainerOptions {
  readonly task: Pick<Task, "loss">;
  readonly trainable: Trainable;
  readonly examples: Examples;
  readonly cursor: CursorOptions;
  readonly step: Omit<StepOptions, "lr">;
  /** Given the record, since the clock is in it. */
  pace(record: TrainingRecord): Pace;
  /** What else this training changes, by name. */
  readonly parts?: Readonly<Record<string, Stateful>>;
  /** Asked after each step: whether to end before the pace does. */
  stops?(): boolean;
}

export class Trainer {
  readonly record: TrainingRecord = new TrainingRecord();
  readonly step: TrainingStep;
  readonly cursor: DataCursor;
  readonly pace: Pace;
  /** Everything that training changes. */
  readonly state: TrainingState;
  readonly #stops: () => boolean;

  constructor(options: TrainerOptions, device: Device) {
    const { task, trainable, examples, cursor, step, pace } = options;
    this.#stops = () => options.stops?.() ?? false;
    this.pace = pace(this.record);
    this.cursor = new DataCursor(examples, cursor);
    this.step = new TrainingStep(task, trainable, { ...step, lr: (finished) => this.pace.lr(finished) }, device);
    this.state = new TrainingState({
      ...this.step.parts(),
      cursor: valuesPart(
        () => ({ ...this.cursor.state }),
        (place) => this.cursor.restore(place),
      ),
      record: this.record,
      ...options.parts,
    });
  }

  /** To the end of the pace, or until who watches has seen enough. */
  async run(watcher: Watcher): Promise<void> {
    const breathe = breather();
    while (!this.pace.done() && !this.#stops()) {
      await breathe();
      await watcher.between?.();
      await this.#once(watcher);
    }
  }

  async #once(watcher: Watcher): Promise<void> {
    const { record } = this;
    const lr = this.pace.lr(record.step);
    const batch = this.cursor.next();
    const started = performance.now();
    const result = await this.#step(batch, watcher);
    record.took((performance.now() - started) / 1000);
    // the next batch is tried at half the scale
    if (result.skipped) return watcher.skipped?.();
    record.stepped(result, batch);
    // a value that is not finite ends the training: nothing that comes after it means anything
    const { step } = record;
    if (!Number.isFinite(result.loss))
      throw watcher.diverged({ step, what: `the loss is ${result.loss}`, named: false });
    if (!Number.isFinite(result.norm))
      throw watcher.diverged({ step, what: `the gradient norm is ${result.norm}`, named: false });
    record.lost(result, batch);
    await watcher.stepped?.(result, lr);
  }

  async #step(batch: readonly Batch[], watcher: Watcher): Promise<StepResult> {
    try {
      return await this.step.run(batch);
    } catch (error) {
      if (!(error instanceof NumericsError)) throw error;
      const found = error.found ?? (await this.step.blame(batch));
      throw watcher.diverged({
        step: this.record.step + 1,
        what: found ?? error.message,
        named: found !== undefined,
      });
    }
  }

  dispose(): void {
    this.step.dispose();
  }
}
