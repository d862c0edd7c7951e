/** Evaluations on the way of a run: when one is due, what is kept of it, and who is told. */
import type { Evaluation } from "../store/result.ts";
import type { TrainOptions } from "../config/study.ts";
import type { Evaluator, Scores } from "./evaluate.ts";
import { bestOf, type Judge } from "./judge.ts";
import type { TrainingRecord } from "./record.ts";

/** What is told of an evaluation beside its scores. */
export interface EvaluationReport {
  readonly now: Evaluation;
  /** Mean of the training loss since the last one. */
  readonly trainLoss: number;
  /** Of the step that it follows. */
  readonly lr: number;
  readonly norm: number;
}

export interface EvaluationsOptions {
  readonly evaluator: Evaluator;
  readonly judge: Judge;
  readonly record: TrainingRecord;
  readonly every: TrainOptions["evalEvery"];
  readonly perEpoch: number;
  readonly total: number;
}

export class Evaluations {
  readonly #options: EvaluationsOptions;
  /** Of the last one; undefined before the first. */
  scores: Scores | undefined;

  constructor(options: EvaluationsOptions) {
    this.#options = options;
  }

  /** Whether the step that was just finished is followed by one. The last always is. */
  get due(): boolean {
    const { every, perEpoch, total, record } = this.#options;
    return record.step === total || (every !== "end" && record.step % (every === "epoch" ? perEpoch : every) === 0);
  }

  /** Evaluates and keeps it. Undefined where the loss is no number. */
  async run(lr: number, norm: number): Promise<EvaluationReport | { readonly badLoss: number }> {
    const { evaluator, record, perEpoch } = this.#options;
    this.scores = await evaluator.run();
    const { loss } = this.scores;
    if (!Number.isFinite(loss)) return { badLoss: loss };
    const now = evaluationOf(this.scores, record.step, perEpoch);
    record.evaluations = [...record.evaluations, now];
    return { now, trainLoss: record.takeMeanLoss(), lr, norm };
  }

  /** Evaluates what the first step will find, and keeps it apart from the others. Undefined where a resumed training has it, or is past it. */
  async start(): Promise<{ readonly now: Evaluation } | { readonly badLoss: number } | undefined> {
    const { evaluator, record, perEpoch } = this.#options;
    if (record.step > 0 || record.start !== undefined) return undefined;
    const scores = await evaluator.run();
    if (!Number.isFinite(scores.loss)) return { badLoss: scores.loss };
    record.start = evaluationOf(scores, 0, perEpoch);
    return { now: record.start };
  }

  get last(): Evaluation | undefined {
    return this.#options.record.evaluations.at(-1);
  }

  get best(): Evaluation {
    return bestOf(this.#options.judge, this.#options.record.evaluations);
  }
}

/** Scores as they are recorded. @param step finished steps when they were made */
export function evaluationOf({ loss, metrics, examples }: Scores, step: number, perEpoch: number): Evaluation {
  return { step, epoch: step / perEpoch, loss, ...metrics, examples };
}
