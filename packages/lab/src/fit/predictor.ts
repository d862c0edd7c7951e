/** A model that answers a task's questions about rows. */
import type { Tokenizer } from "@lowrank/models";
import { compile, type Compiled, type Tensor } from "@lowrank/tensor";
import type { Base } from "../bases/base.ts";
import { predictionBatches } from "../data/prediction-batches.ts";
import type { ColumnWords } from "../data/table/columns.ts";
import type { Table } from "../data/table/table.ts";
import { metrics as known } from "../metrics/registry.ts";
import type { TaskUse } from "../records/manifest.ts";
import { measured, type Metric } from "../records/metric.ts";
import type { Answer, EncodeContext, RowFacts, Rows, RowTask } from "../records/row-task.ts";
import { readRows } from "../tasks/rows/prepare.ts";
import { breather } from "../text/breath.ts";

export interface PredictorParts {
  readonly task: RowTask;
  readonly use: TaskUse;
  readonly base: Base;
  readonly tokenizer: Tokenizer;
  /** As `EncodeContext` has it. */
  readonly chat?: EncodeContext["chat"];
}

/** Answers to rows, with where each row stands. */
export interface Answered {
  readonly rows: Rows;
  readonly answers: readonly Answer[];
  /** Rows that are longer than the model was trained for and were cut. */
  readonly cut: number;
}

/** Answers and what they are worth. */
export interface Evaluated extends Answered {
  /** Mean loss, told in f64 from the answers; absent where they do not tell it. */
  readonly loss?: number;
  /** Metrics by name, in order. */
  readonly metrics: Readonly<Record<string, unknown>>;
  /** What is odd about the answers. */
  readonly warnings: readonly string[];
}

export class Predictor {
  readonly task: RowTask;
  readonly use: TaskUse;
  readonly base: Base;
  readonly tokenizer: Tokenizer;
  readonly #chat: EncodeContext["chat"];
  readonly #forward: Compiled<Record<string, Tensor>>;

  constructor({ task, use, base, tokenizer, chat }: PredictorParts) {
    this.task = task;
    this.use = use;
    this.base = base;
    this.tokenizer = tokenizer;
    this.#chat = chat;
    this.#forward = compile(base.device, (inputs: Record<string, Tensor>) => ({ ...task.forward(base, inputs) }));
  }

  get facts(): RowFacts {
    return { options: this.use.options, labels: this.use.labels };
  }

  /** Answers to every row, in order. Batches depend on the lengths of texts alone, so that no row has a say in another's answer. */
  async answer(table: Table, columns?: ColumnWords): Promise<Answered> {
    const rows = this.#read(table, false, columns);
    return { rows, ...(await this.#answers(rows)) };
  }

  /** The same for rows that say what is right. @param names of metrics; absent: the task's own */
  async evaluate(
    table: Table,
    names: readonly string[] = this.task.metrics,
    columns?: ColumnWords,
  ): Promise<Evaluated> {
    const { task, facts } = this;
    const rows = this.#read(table, true, columns);
    task.check?.(rows, facts, "validation");
    const { answers, cut } = await this.#answers(rows);
    const items = task.counted(answers, rows.items, facts);
    const counts = new Map(
      names.map((name): [Metric, unknown] => [known.get(name), known.get(name).update(undefined, items)]),
    );
    const loss = task.meanLoss?.(answers, rows.items, facts);
    const doubt = task.doubt?.(answers, rows.items, facts);
    return {
      rows,
      answers,
      cut,
      metrics: measured([...counts.keys()], counts),
      warnings: doubt === undefined ? [] : [doubt],
      ...(loss === undefined ? {} : { loss }),
    };
  }

  dispose(): void {
    this.base.dispose();
  }

  #read(table: Table, labelled: boolean, columns: ColumnWords = this.use.columns): Rows {
    return readRows(this.task, table, { options: this.use.options, columns, labelled }).rows;
  }

  async #answers(rows: Rows): Promise<Pick<Answered, "answers" | "cut">> {
    const { task, facts, tokenizer, base } = this;
    const { padId, maxLength } = this.use;
    const examples = task.encode(rows, {
      ...facts,
      tokenizer,
      padId,
      maxLength,
      chat: this.#chat,
      part: "predict",
    });
    const collector = task.collector(rows, examples, facts);
    const breathe = breather();
    base.model.eval();
    for (const batch of predictionBatches(examples)) {
      await breathe();
      const outputs = await this.#forward(batch.inputs);
      const values: Record<string, Float64Array> = {};
      for (const [name, tensor] of Object.entries(outputs)) values[name] = await tensor.floats();
      collector.take(batch, values);
    }
    return { answers: collector.finish(), cut: examples.cut };
  }
}
