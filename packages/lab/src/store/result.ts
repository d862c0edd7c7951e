/**
 * What a finished run says about itself. `result.json` holds what config, seed, data, code and device determine, byte for byte; what was asked is in
 * `config.json`, and what it took in `measures.json`.
 */
import type { AllocationRecord } from "@lowrank/peft";
import type { RankRecovery } from "../statistics/rank-recovery.ts";

export interface Evaluation {
  readonly step: number;
  readonly epoch: number;
  /** Mean loss of the task alone. */
  readonly loss: number;
  readonly examples: number;
  /** The task's metrics by name, in its order, each with what it says beside its value (`metrics/of-evaluation.ts`). */
  readonly [metric: string]: unknown;
}

/** One assertion that something was really on (or really off), with the numbers it saw. */
export interface Proof {
  readonly name: string;
  readonly holds: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface ParameterCounts {
  readonly trainable: number;
  readonly effective: number;
  readonly total: number;
  readonly percent: number;
}

export interface ModuleRow {
  readonly module: string;
  readonly in: number;
  readonly out: number;
  /** Where the update is a product of low rank. */
  readonly rank?: number | undefined;
  readonly scale?: number | undefined;
  /** Where the update scales the module's input or output instead. */
  readonly scales?: "input" | "output" | undefined;
  readonly parameters: number;
}

/** `result.json`. */
export interface RunResult {
  readonly id: string;
  /** Identity without the code version. */
  readonly cell: string;
  readonly name: string;
  readonly config: string;
  readonly method: string;
  readonly task: string;
  readonly seed: number;
  readonly device: string;
  /** Weights of the base that its checkpoint does not hold and that were drawn from the seed: the head as a rule, often the pooler. Empty where the whole base is drawn. */
  readonly fresh: readonly string[];
  /**
   * Before the first step, of the same rows as `final`; present where `train.evalStart` asked for it. It is the base's where the method begins at
   * the base; a head that was drawn (`fresh`) is in it as it was drawn.
   */
  readonly start?: Evaluation;
  /** Of the weights that the run left: those after its last step, without selection on the evaluation set, unless `kept` says otherwise. */
  readonly final: Evaluation;
  /** By the task's first metric, or that of an early stop, the best of all evaluations, for information. */
  readonly best: Evaluation;
  /** Present where the run left the weights of its best evaluation: what was compared, and how the last step's did. */
  readonly kept?: { readonly by: string; readonly last: Evaluation };
  /** Present where evaluations that got no better ended the run: what was compared, and the steps that were planned. */
  readonly stopped?: { readonly by: string; readonly of: number };
  /** What is wrong with what was learnt: predictions of one class, no better than the majority. */
  readonly warnings?: readonly string[];
  readonly parameters: ParameterCounts;
  readonly modules: readonly ModuleRow[];
  readonly steps: number;
  /** What decided ranks, and what it decided; absent for fixed ranks. */
  readonly allocation?: AllocationRecord;
  /** How ranks that the run found agree with planted ones; present where ranks were planted and adapters searched. */
  readonly rankRecovery?: RankRecovery;
  /** Present where the loss was scaled. */
  readonly lossScaling?: { readonly skipped: number; readonly finalScale: number | null };
  /** SHA-256 of predictions.jsonl, and of the predicted labels alone. */
  readonly predictions: { readonly sha256: string; readonly labelsSha256: string };
  readonly proofs: readonly Proof[];
}
