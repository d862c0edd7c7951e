/** Answers to validation rows as an evaluation wants them. */
import type { Batch } from "../../data/examples.ts";
import type { Answer, Collector, RowExamples, RowFacts, RowItem, Rows, RowTask } from "../../records/row-task.ts";
import type { Scored, Scorer } from "../../records/task.ts";

export class RowScorer implements Scorer {
  readonly #task: RowTask;
  readonly #rows: Rows;
  readonly #facts: RowFacts;
  readonly #collector: Collector<Answer>;

  constructor(task: RowTask, rows: Rows, examples: RowExamples, facts: RowFacts) {
    this.#task = task;
    this.#rows = rows;
    this.#facts = facts;
    this.#collector = task.collector(rows, examples, facts);
  }

  take(batch: Batch, outputs: Readonly<Record<string, Float64Array>>): undefined {
    this.#collector.take(batch, outputs);
  }

  finish(): Scored {
    const { items } = this.#rows;
    const answers = this.#collector.finish();
    const loss = this.#task.meanLoss?.(answers, items, this.#facts);
    const doubt = this.#task.doubt?.(answers, items, this.#facts);
    return {
      ...(doubt === undefined ? {} : { warnings: [doubt] }),
      items: this.#task.counted(answers, items, this.#facts),
      predictions: answers.map((answer, i) => answerLine(items[i]!, answer)),
      decisions: JSON.stringify(answers.map(({ decision }) => decision)),
      outputs: Float64Array.from(answers.flatMap(({ numbers }) => Array.from(numbers))),
      ...(loss === undefined ? {} : { loss }),
    };
  }
}

/** A line of `predictions.jsonl`: the row in its file, from 0, and what is said of it. */
export function answerLine({ row }: RowItem, { fields }: Answer): string {
  return JSON.stringify({ index: row, ...fields });
}
