/** A text, or a pair of texts, has a number. */
import { ops, quote } from "@lowrank/tensor";
import type { Row, Table } from "../data/table/table.ts";
import { quantileStrata } from "../data/strata.ts";
import { TextExamples } from "../data/text-examples.ts";
import { InputError } from "../errors.ts";
import type { NumberItems } from "../records/metric.ts";
import type { Answer, RowTask } from "../records/row-task.ts";
import { noBetterThanMean } from "../statistics/degenerate.ts";
import { countingRows, meanOfRows } from "./rows/counting.ts";
import { textInputs } from "./rows/inputs.ts";
import { collectRows, written } from "./rows/output-rows.ts";
import { encodeItems, readTexts, TEXT_COLUMNS, textKey, type TextItem } from "./rows/text-rows.ts";

interface Item extends TextItem {
  readonly score?: number;
}

interface Score extends Answer {
  readonly value: number;
}

export const regression: RowTask<object, Item, Score> = {
  name: "regression",
  kind: "SEQ_CLS",
  items: "numbers",
  metrics: ["pearson", "spearman", "rmse"],
  columns: {
    ...TEXT_COLUMNS,
    score: { names: ["score", "label", "value", "target", "rating", "stars"], needed: "labelled" },
  },
  options: {},
  read: (table, columns) =>
    table.rows.map((_, row) => ({
      ...readTexts(table, row, columns),
      ...(columns["score"] === undefined ? {} : { score: numberCell(table, row, columns["score"]) }),
    })),
  key: textKey,
  strata: (items) => quantileStrata(items.map(({ score }) => score!)),
  labels: () => [],
  head: () => ({ labels: 1, problemType: "regression" }),
  encode(rows, context) {
    const texts = encodeItems(rows, context);
    return new TextExamples(texts, context.padId, (members, shape) => {
      if (context.part === "predict") return { inputs: {}, counted: members.length };
      const asked = new Float32Array(shape.rows);
      members.forEach((member, row) => (asked[row] = rows.items[member]!.score!));
      return countingRows(members, shape.rows, { labels: { data: asked, shape: [shape.rows], dtype: "f32" } });
    });
  },
  forward: (base, inputs) => ({ logits: base.logits(textInputs(base, inputs)) }),
  loss({ logits }, { labels, counts }, reduction) {
    const flat = ops.reshape(logits!, [-1]);
    return meanOfRows(ops.mse(flat, ops.cast(labels!, flat.dtype), "none"), counts!, reduction);
  },
  collector: ({ items }) =>
    collectRows("logits", items.length, 1, (logits) => {
      const prediction = written(logits[0]!);
      return { value: logits[0]!, decision: String(prediction), numbers: logits, fields: { prediction } };
    }),
  counted: (answers, items): NumberItems => ({
    predicted: answers.map(({ value }) => value),
    actual: items.map(({ score }) => score!),
  }),
  doubt: (answers, items) =>
    noBetterThanMean(
      answers.map(({ value }) => value),
      items.map(({ score }) => score!),
    ),
  meanLoss: (answers, items) =>
    answers.reduce((sum, { value }, i) => sum + (value - Math.fround(items[i]!.score!)) ** 2, 0) / answers.length,
};

/** @throws InputError with the place, where it is empty or no number */
function numberCell(table: Table, row: number, column: string): number {
  const value = (table.rows[row] as Row)[column];
  const number =
    typeof value === "number" ? value : typeof value === "string" && value.trim() !== "" ? Number(value) : NaN;
  if (Number.isFinite(number)) return number;
  throw new InputError(
    value === undefined || value === null || value === ""
      ? `${table.place(row)}: ${quote(column)} is empty`
      : `${table.place(row)}: ${quote(column)} is ${quote(value as never)}, and a number is needed`,
  );
}
