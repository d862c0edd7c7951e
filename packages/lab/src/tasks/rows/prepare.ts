/** From tables to what is trained on: rows, labels, splits, token ids. Knows no files. */
import { formatCount } from "../../text/format.ts";
import { chooseRows, type HeldOutRows, type RowRange } from "../../data/row-range.ts";
import { limitedTo, stratifiedSplit } from "../../data/split.ts";
import { columnsOf, type Columns, type ColumnWords } from "../../data/table/columns.ts";
import type { Table } from "../../data/table/table.ts";
import { InputError } from "../../errors.ts";
import type { TaskUse } from "../../records/manifest.ts";
import type { PaddingChoice } from "./padding.ts";
import type { EncodeContext, RowExamples, RowFacts, RowItem, Rows, RowTask } from "../../records/row-task.ts";

/** A share of the training rows, held out alike of each label, set of labels, or range of numbers. */
export interface Fraction {
  readonly fraction: number;
  readonly seed: number;
}

/** Rows to evaluate on: others than those to train on, or some of them. */
export type Validation = Table | Fraction | HeldOutRows;

export interface PrepareOptions<O extends object> {
  readonly options: O;
  readonly columns?: ColumnWords | undefined;
  readonly maxLength: number;
  /** Rows of the training table that are meant. Absent: all, but those that are held out. */
  readonly trainRows?: RowRange | undefined;
  readonly trainLimit?: number | undefined;
  readonly validationLimit?: number | undefined;
  /** Receives lines for people. */
  readonly say: (line: string) => void;
}

export interface PreparedRows {
  readonly facts: RowFacts;
  /** Of the training table. */
  readonly columns: Columns;
  readonly train: RowExamples;
  readonly dev: RowExamples;
  readonly devRows: Rows;
}

/** A table's items. */
export function readRows<O extends object, I extends RowItem>(
  task: RowTask<O, I>,
  table: Table,
  asked: {
    readonly options: O;
    readonly columns?: ColumnWords | undefined;
    readonly labelled: boolean;
    readonly say?: ((line: string) => void) | undefined;
  },
): { readonly rows: Rows<I>; readonly columns: Columns } {
  const { options, columns: words, labelled, say } = asked;
  const columns = columnsOf(table, { roles: task.columns, words, labelled, say });
  const items = task.read(table, columns, { options, labelled });
  return { columns, rows: { name: table.name, items, place: ({ row }) => table.place(row) } };
}

/** Labels, splits and token ids. @throws InputError for what is wrong with the rows */
export function prepareRows<O extends object, I extends RowItem>(
  task: RowTask<O, I>,
  tables: { readonly train: Table; readonly validation: Validation },
  how: PrepareOptions<O>,
  tokens: Pick<EncodeContext, "tokenizer" | "padId" | "chat">,
): PreparedRows {
  const { options, say, maxLength } = how;
  const asked = { options, columns: how.columns, labelled: true, say };
  const { rows: read, columns } = readRows(task, tables.train, asked);
  const { given, ranged } = inRange(read, how.trainRows, tables.validation);
  const labels = task.labels(given, options, say);
  const facts: RowFacts<O> = { options, labels };
  const [all, held] =
    ranged !== undefined
      ? [given, ranged]
      : "rows" in tables.validation
        ? [given, readRows(task, tables.validation, asked).rows]
        : split(task, given, tables.validation as Fraction);
  task.check?.(held, facts, "validation");
  const train = chosen(all, limitedTo(all.items.length, how.trainLimit));
  const validation = chosen(held, limitedTo(held.items.length, how.validationLimit));
  task.check?.(train, facts, "train");
  sayTwice(task, train, validation, say);
  const encode = (rows: Rows<I>, part: "train" | "validation"): RowExamples => {
    const examples = task.encode(rows, { ...facts, ...tokens, maxLength, part });
    if (examples.cut > 0)
      say(
        `${rows.name}: ${formatCount(examples.cut)} of ${formatCount(rows.items.length)} rows are longer than ${maxLength} tokens and were cut (maxLength)`,
      );
    if (examples.about !== undefined) say(`${rows.name}: ${examples.about}`);
    return examples;
  };
  return {
    facts,
    columns,
    train: encode(train, "train"),
    dev: encode(validation, "validation"),
    devRows: validation as unknown as Rows,
  };
}

/** The rows that are meant, and those that are held out by their numbers. @throws InputError for rows that the table does not have */
function inRange<I extends RowItem>(
  rows: Rows<I>,
  trainRows: RowRange | undefined,
  validation: Validation,
): { readonly given: Rows<I>; readonly ranged: Rows<I> | undefined } {
  const heldOut = "trainRows" in validation ? validation.trainRows : undefined;
  if (trainRows === undefined && heldOut === undefined) return { given: rows, ranged: undefined };
  const places = chooseRows(rows.items.length, { trainRows, heldOut }, rows.name);
  return {
    given: chosen(rows, places.train),
    ranged: places.heldOut === undefined ? undefined : chosen(rows, places.heldOut),
  };
}

function split<I extends RowItem>(
  task: RowTask<never, I>,
  rows: Rows<I>,
  { fraction, seed }: Fraction,
): [Rows<I>, Rows<I>] {
  const strata = task.strata?.(rows.items) ?? rows.items.map(() => "");
  const { train, heldOut } = stratifiedSplit(strata, fraction, seed);
  if (heldOut.length === 0)
    throw new InputError(
      `${rows.name}: ${rows.items.length} rows are too few to hold out ${fraction} of them; give a file for validation, or a larger fraction`,
    );
  return [chosen(rows, train), chosen(rows, heldOut)];
}

function chosen<I extends RowItem>(rows: Rows<I>, places: Int32Array): Rows<I> {
  return { ...rows, items: Array.from(places, (i) => rows.items[i]!) };
}

/** Rows that are trained on tell nothing about others. */
function sayTwice<I extends RowItem>(
  task: RowTask<never, I>,
  train: Rows<I>,
  validation: Rows<I>,
  say: (line: string) => void,
): void {
  const seen = new Set(train.items.map((item) => task.key(item)));
  const twice = validation.items.filter((item) => seen.has(task.key(item)));
  if (twice.length > 0)
    say(
      `warning: ${formatCount(twice.length)} of ${formatCount(validation.items.length)} validation rows are rows to train on, too, the first at ${validation.place(twice[0]!)}; the metrics are too good by them`,
    );
}

/** What `lowrank.json` says of the task. */
export function taskUse(
  task: RowTask,
  facts: RowFacts & { readonly columns: Columns; readonly maxLength: number; readonly padding: PaddingChoice },
): TaskUse {
  const { options, labels, columns, maxLength, padding } = facts;
  return {
    task: task.name,
    kind: task.kind,
    options: options as TaskUse["options"],
    labels,
    columns: Object.fromEntries(
      Object.entries(columns).flatMap(([role, name]) => (name === undefined ? [] : [[role, name]])),
    ),
    maxLength,
    padId: padding.id,
    padOfModel: padding.ofModel,
  };
}
