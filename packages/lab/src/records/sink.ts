/**
 * Who receives the numbers of a run: a record that opens a `Sink` for each. The local files of a run are written whatever happens; a sink that was
 * asked for never stops a run and is left out once it has thrown (`train/sinks.ts`).
 */
import type { ResolvedConfig } from "../config/study.ts";

/** What a run is, for who follows it. */
export interface RunFacts {
  readonly name: string;
  readonly study: string;
  readonly config: ResolvedConfig;
  readonly seed: number;
  /** Optimizer steps that it will make. */
  readonly steps: number;
  /** Names of the task's metrics, in order. */
  readonly metrics: readonly string[];
}

export interface Sink {
  /** Before the first step. */
  start(run: RunFacts): void;
  /**
   * Numbers by name. After each step `loss`, `grad_norm`, `lr` and, where the objective holds more than the loss, `regularizer`; after each evaluation `epoch`, `lr`, `train_loss`, `grad_norm`, `eval_loss`, the
   * task's metrics and `seconds`.
   */
  scalar(step: number, values: Readonly<Record<string, number>>): void;
  /** A file of the run: its predictions, its result. */
  artifact(name: string, content: string | Uint8Array): void;
  finish(outcome: "finished" | "failed"): void;
}

/** Where a sink may write, and who is told about it. */
export interface SinkPlace {
  /** The run's folder while it is not finished; what is in it is published with the run. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface SinkRecord {
  /** `--sink NAME`. */
  readonly name: string;
  open(place: SinkPlace): Sink;
}
