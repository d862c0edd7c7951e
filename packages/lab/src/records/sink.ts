/**
 * Who receives the numbers of a run: a record that opens a `Sink` for each. The local files of a run are written whatever happens; a sink that was
 * asked for never stops a run and is left out once it has thrown (`train/sinks.ts`).
 */
import type { ResolvedConfig } from "../config/study.ts";

/** What a run is, for who follows it. */
export interface RunFacts {
  readonly name: string;
  /** The same for every attempt at the run, and for no other run. */
  readonly id: string;
  readonly study: string;
  readonly config: ResolvedConfig;
  readonly seed: number;
  /** Optimizer steps that it will make. */
  readonly steps: number;
  /** Steps that it had made before this attempt began; what was told of later ones is made again. */
  readonly resumed: number;
  /** Names of the task's metrics, in order. */
  readonly metrics: readonly string[];
}

/** What is told after each step, in this order; the names stay as they are. What is not known, or is not there, is left out. */
export interface StepScalars {
  readonly loss: number;
  /** Global norm of the gradients, before clipping. */
  readonly grad_norm: number;
  readonly lr: number;
  /** What the objective holds beside the loss. */
  readonly regularizer?: number;
  /** `grad_norm/A`, `grad_norm/B`, `grad_norm/E`, `grad_norm/head`, …: of one group's gradients (`train/gradient-groups.ts`), where there are several. */
  readonly [group: `grad_norm/${string}`]: number;
  readonly loss_scale?: number;
  /** Ranks that may live after this step, by the allocator's schedule. */
  readonly budget?: number;
  /** Ranks that live. */
  readonly ranks_kept?: number;
  /** `rank/MODULE`: ranks of it that live, after a step that chose. */
  readonly [rank: `rank/${string}`]: number;
  /** Positions that the step computed, padding included. */
  readonly tokens: number;
  /** Wall time of the step, with what it had to plan. */
  readonly step_seconds: number;
  readonly tokens_per_second: number;
  /** Operations of matrix products (`plan/flops.ts` of tensor) a second, in thousands of millions. */
  readonly gflops?: number;
  /** What the step's intermediates were planned to take. */
  readonly arena_bytes: number;
  /** Resident size of the process, looked at a few times a second. */
  readonly rss_bytes?: number;
  /** What the device holds in all, looked at as often. */
  readonly device_bytes?: number;
}

export interface Sink {
  /** Before the first step. */
  start(run: RunFacts): void;
  /**
   * Numbers by name: `StepScalars` after each step; after each evaluation `epoch`, `lr`, `train_loss`, `grad_norm`, `eval_loss`, the
   * task's metrics and `seconds` since training began. It is called in the training's own time: what takes long is for later.
   */
  scalar(step: number, values: Readonly<Record<string, number>>): void;
  /** A file of the run: its predictions, its result. */
  artifact(name: string, content: string | Uint8Array): void;
  /** Before a checkpoint: what was told so far is to be in the run's files, whose lengths are noted and cut to by who goes on from it. */
  flush?(): void;
  /**
   * Whoever sends over a network may take a moment for what has not arrived yet; it says itself what did not, and never rejects.
   * @param outcome "interrupted": the run is to go on another time
   */
  finish(outcome: "finished" | "failed" | "interrupted"): void | Promise<void>;
}

/** Where a sink may write, and who is told about it. */
export interface SinkPlace {
  /** The run's folder while it is not finished; what is in it is published with the run. */
  readonly folder: string;
  /** The study's folder (`--out`), for what is to stay in its place whatever becomes of the run: a sink makes a folder of its own name in it. */
  readonly out: string;
  readonly say: (line: string) => void;
  /** What was said behind `--sink NAME=`. */
  readonly address?: string;
}

export interface SinkRecord {
  /** `--sink NAME`. */
  readonly name: string;
  /** What may be said as `--sink NAME=…`, in a few words for `--help`. Absent: nothing may. */
  readonly address?: string;
  /** Before anything is trained. @throws InputError for an address, or an environment, that it cannot work with */
  check?(address: string | undefined): void;
  open(place: SinkPlace): Sink;
}
