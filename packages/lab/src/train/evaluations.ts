/** Evaluations on the way of a run: when one is due, what is kept of it, and who is told. */
import type { Evaluation } from "../store/result.ts";
import type { TrainOptions } from "../config/study.ts";
import { metricOf } from "../metrics/of-evaluation.ts";
import { isBetter, type Metric } from "../records/metric.ts";
import type { Evaluator, Scores } from "./evaluate.ts";
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
  readonly metrics: readonly Metric[];
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
    return record.step % (every === "epoch" ? perEpoch : every) === 0 || record.step === total;
  }

  /** Evaluates and keeps it. Undefined where the loss is no number. */
  async run(lr: number, norm: number): Promise<EvaluationReport | { readonly badLoss: number }> {
    const { evaluator, record, perEpoch } = this.#options;
    this.scores = await evaluator.run();
    const { loss, examples, metrics } = this.scores;
    if (!Number.isFinite(loss)) return { badLoss: loss };
    const now: Evaluation = { step: record.step, epoch: record.step / perEpoch, loss, ...metrics, examples };
    record.evaluations = [...record.evaluations, now];
    return { now, trainLoss: record.takeMeanLoss(), lr, norm };
  }

  get last(): Evaluation | undefined {
    return this.#options.record.evaluations.at(-1);
  }

  /** By the first metric; the first of equals. */
  get best(): Evaluation {
    const [first] = this.#options.metrics;
    return this.#options.record.evaluations.reduce((a, b) =>
      first !== undefined && isBetter(first, metricOf(b, first.name), metricOf(a, first.name)) ? b : a,
    );
  }
}
