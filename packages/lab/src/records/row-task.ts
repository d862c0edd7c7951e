/**
 * What a task on rows of a table is: a record of what a row means, what a model is asked about it and what it answers. It knows no files, no
 * tokenizer's family and no model's; `tasks/rows/from-files.ts` makes a `Task` of it, and `fit`, `predict` and `eval` take it as it is.
 */
import type { ProblemType, Tokenizer } from "@lowrank/models";
import type { ChatTemplate } from "@lowrank/models/chat";
import type { Tensor } from "@lowrank/tensor";
import type { z } from "zod";
import type { Base } from "../bases/base.ts";
import type { ModelKind } from "../bases/kind.ts";
import type { Batch, Examples } from "../data/examples.ts";
import type { ColumnRoles, Columns } from "../data/table/columns.ts";
import type { Table } from "../data/table/table.ts";
import type { RateShare } from "./rates.ts";

/** What a row says; a task adds its own fields. */
export interface RowItem {
  /** The row of the table that it comes from, from 0. */
  readonly row: number;
}

/** Items, and where each stands for messages: `reviews.csv:17`. */
export interface Rows<I extends RowItem = RowItem> {
  /** The table's. */
  readonly name: string;
  readonly items: readonly I[];
  place(item: I): string;
}

/** What a model says of an item; a task adds its own fields. */
export interface Answer {
  /** What was decided, as a text: two models that decide alike have the same. */
  readonly decision: string;
  /** Numbers that the device computed for it, each checked to be finite. */
  readonly numbers: ArrayLike<number>;
  /** What is written of it, by column, in order. Numbers have 9 significant digits, which identifies every f32. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What is known once the training rows were read, and what an adapter is kept with (`lowrank.json`). */
export interface RowFacts<O extends object = object> {
  readonly options: O;
  /** Names of what the head's outputs stand for, in order; empty where they have none. */
  readonly labels: readonly string[];
}

/** Most tokens of an example where neither a task nor a person says it. */
export const USUAL_LENGTH = 128;

/** How items become token ids. */
export interface EncodeContext<O extends object = object> extends RowFacts<O> {
  readonly tokenizer: Tokenizer;
  readonly padId: number;
  /** Most tokens of an example, special ones included. */
  readonly maxLength: number;
  /** How the model's chats are written, for tasks with `chats`. @throws InputError where nothing says it */
  readonly chat?: (() => ChatTemplate) | undefined;
  /** `train` and `validation` have labels; `predict` need not. */
  readonly part: "train" | "validation" | "predict";
}

export interface RowExamples extends Examples {
  /** Items that lost tokens to `maxLength`. */
  readonly cut: number;
  /** What is said of how the items were laid out, where that is no matter of course. */
  readonly about?: string;
}

/** Collects what the host read, batch by batch, in any order. Batches' `members` are places in the examples. */
export interface Collector<A extends Answer> {
  take(batch: Pick<Batch, "members" | "length">, outputs: Readonly<Record<string, Float64Array>>): void;
  /** An answer for each item, in order. */
  finish(): readonly A[];
}

export type Tensors = Readonly<Record<string, Tensor>>;

// methods and not properties below, so that a record of one task is a record of any (bivariance)
export interface RowTask<O extends object = object, I extends RowItem = RowItem, A extends Answer = Answer> {
  /** `task.name` of a study. */
  readonly name: string;
  /** The head that a model needs. */
  readonly kind: ModelKind;
  /** What metrics count (`Metric.items`). */
  readonly items: string;
  /** Metrics by name, where nothing else is asked for. The first one tells the best evaluation. */
  readonly metrics: readonly string[];
  /** Columns by role. */
  readonly columns: ColumnRoles;
  /** What methods' usual rates are multiplied by here. Absent: 1. */
  readonly rate?: RateShare;
  /** Most tokens of an example where nothing is said. Absent: `USUAL_LENGTH`. */
  readonly maxLength?: number;
  /** Whether rows may be chats, so that `encode` is given the template. */
  readonly chats?: boolean;
  /** Its own options, beside those that every task on rows has (`rowOptions`). */
  readonly options: z.ZodRawShape;

  /**
   * The items of a table, checked.
   * @throws InputError with the place, for what is empty or makes no sense
   */
  read(table: Table, columns: Columns, asked: { readonly options: O; readonly labelled: boolean }): readonly I[];
  /** Items with the same key are the same question. */
  key(item: I): string;
  /** What a split keeps the shares of, of each labelled item. Absent: nothing. */
  strata?(items: readonly I[]): readonly string[];
  /**
   * What the head's outputs stand for, from all rows that there are to train on, in an order that does not depend on theirs.
   * @param say is told the order, and what is odd
   */
  labels(rows: Rows<I>, options: O, say: (line: string) => void): readonly string[];
  /** What else is wrong with labelled rows once the labels are known. @throws InputError with the place */
  check?(rows: Rows<I>, facts: RowFacts<O>, part: "train" | "validation"): void;
  /** What the head is made with; absent where it has the words of the tokenizer. */
  head?(facts: RowFacts<O>): { readonly labels: number | readonly string[]; readonly problemType?: ProblemType };
  /** Items to token ids and padded batches; an item may become several examples, whose batches the collector puts together. */
  encode(rows: Rows<I>, context: EncodeContext<O>): RowExamples;

  /** Of a batch with or without labels: tensors by name, all of which the host reads in an evaluation. */
  forward(base: Base, inputs: Tensors): Tensors;
  /** Of what `forward` gave: the training objective, its mean over what counts, or its sum. */
  loss(outputs: Tensors, inputs: Tensors, reduction: "mean" | "sum"): Tensor;
  collector(rows: Rows<I>, examples: RowExamples, facts: RowFacts<O>): Collector<A>;
  /** What metrics count of labelled items: a metric's `Items`. */
  counted(answers: readonly A[], items: readonly I[], facts: RowFacts<O>): unknown;
  /** What is wrong with what was learnt, told from answers to labelled items: a line for people. */
  doubt?(answers: readonly A[], items: readonly I[], facts: RowFacts<O>): string | undefined;
  /** The mean loss told from answers in f64, where it can be: held against what the device says. */
  meanLoss?(answers: readonly A[], items: readonly I[], facts: RowFacts<O>): number;
}
