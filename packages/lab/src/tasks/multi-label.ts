/** A text, or a pair of texts, has any number of labels, each a question of its own. */
import { ops } from "@lowrank/tensor";
import { z } from "zod";
import { labelSetStrata } from "../data/strata.ts";
import { TextExamples } from "../data/text-examples.ts";
import type { Row, Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { LabelSetItems } from "../records/metric.ts";
import type { Answer, RowTask } from "../records/row-task.ts";
import { allAlike } from "../statistics/degenerate.ts";
import { checkLabels, labelIds, namesInCell, orderedLabels, sayAlike } from "./rows/labels.ts";
import { countingRows, meanOfRows } from "./rows/counting.ts";
import { textInputs } from "./rows/inputs.ts";
import { collectRows, written } from "./rows/output-rows.ts";
import { encodeItems, readTexts, TEXT_COLUMNS, textKey, type TextItem } from "./rows/text-rows.ts";

interface Item extends TextItem {
  readonly labels?: readonly string[];
}

export interface MultiLabelOptions {
  /** Names in an order of one's own. Absent: those of the rows. */
  readonly labels?: readonly string[] | undefined;
  /** What parts the labels in a cell of text. */
  readonly separator: string;
  /** Probability from which on a label is given. */
  readonly threshold: number;
}

interface LabelSet extends Answer {
  readonly logits: Float64Array;
  readonly given: readonly boolean[];
}

export const multiLabel: RowTask<MultiLabelOptions, Item, LabelSet> = {
  name: "multi-label",
  kind: "SEQ_CLS",
  items: "label-sets",
  metrics: ["f1-micro", "f1-macro", "subset-accuracy"],
  rate: {
    share: 0.25,
    source:
      "passages of novels and what stands in them (examples/passages.mjs), a MiniLM of 6 layers, LoRA of rank 8, 200 steps of 16: 5e-4 comes to a micro F1 of 74.33 %, 2e-3, LoRA's for as many steps, gives no row a label",
  },
  columns: {
    ...TEXT_COLUMNS,
    labels: { names: ["labels", "label", "tags", "categories", "topics"], needed: "labelled" },
  },
  options: {
    labels: z.array(z.string().min(1)).min(1).optional(),
    separator: z.string().min(1).default(","),
    threshold: z.number().gt(0).lt(1).default(0.5),
  },
  read: (table, columns, { options }) =>
    table.rows.map((_, row) => ({
      ...readTexts(table, row, columns),
      ...(columns["labels"] === undefined
        ? {}
        : { labels: labelsIn(table, row, columns["labels"], options.separator) }),
    })),
  key: textKey,
  strata: (items) => labelSetStrata(items.map(({ labels }) => labels!)),
  labels({ items, name }, { labels: given }, say) {
    if (given !== undefined) return given;
    const names = items.flatMap((item) => item.labels!);
    const { labels, order } = orderedLabels(names);
    if (labels.length === 0) throw new InputError(`${name}: no row has a label`);
    sayAlike(name, names, say);
    say(`labels, ${order}: ${labels.join(", ")}`);
    return labels;
  },
  check({ items, name, place }, { labels }, part) {
    checkLabels({ name, labels: items.map((item) => item.labels!), place: (i) => place(items[i]!) }, labels, part);
  },
  head: ({ labels }) => ({ labels, problemType: "multi_label_classification" }),
  encode(rows, context) {
    const { labels, padId, part } = context;
    const [texts, ids, width] = [encodeItems(rows, context), labelIds(labels), labels.length];
    return new TextExamples(texts, padId, (members, shape) => {
      if (part === "predict") return { inputs: {}, counted: members.length };
      const asked = new Float32Array(shape.rows * width);
      members.forEach((member, row) => {
        for (const name of rows.items[member]!.labels!) asked[row * width + ids.get(name)!] = 1;
      });
      return countingRows(members, shape.rows, { labels: { data: asked, shape: [shape.rows, width], dtype: "f32" } });
    });
  },
  forward: (base, inputs) => ({ logits: base.logits(textInputs(base, inputs)) }),
  loss: ({ logits }, { labels, counts }, reduction) =>
    meanOfRows(
      ops.mean(ops.binaryCrossEntropy(logits!, ops.cast(labels!, logits!.dtype), "none"), 1),
      counts!,
      reduction,
    ),
  collector: ({ items }, _, { labels, options }) =>
    collectRows("logits", items.length, labels.length, (logits) => {
      const probabilities = Array.from(logits, (x) => 1 / (1 + Math.exp(-x)));
      const given = probabilities.map((p) => p >= options.threshold);
      const names = labels.filter((__, id) => given[id]);
      return {
        logits,
        given,
        decision: names.join("\0"),
        numbers: logits,
        fields: {
          prediction: names,
          probabilities: Object.fromEntries(labels.map((name, id) => [name, written(probabilities[id]!)])),
        },
      };
    }),
  counted(answers, items, { labels }): LabelSetItems {
    return {
      predicted: answers.flatMap(({ given }) => given.map(Number)),
      actual: items.flatMap((item) => labels.map((name) => Number(item.labels!.includes(name)))),
      classes: labels.length,
    };
  },
  doubt(answers, items, { labels }) {
    const key = (names: readonly string[]): string => JSON.stringify(labels.filter((name) => names.includes(name)));
    return allAlike(
      answers.map(({ given }) => key(labels.filter((_, id) => given[id]))),
      items.map((item) => key(item.labels!)),
      (all, count) => {
        const names = JSON.parse(all) as string[];
        return `every one of ${count} rows is given ${names.length === 0 ? "no label" : `the same labels, ${names.join(", ")}`}`;
      },
    );
  },
  meanLoss(answers, items, { labels }) {
    const each = answers.flatMap(({ logits }, i) =>
      // log(1 + e^−|x|) + max(x, 0) − x·y
      labels.map((name, id) => {
        const [x, y] = [logits[id]!, Number(items[i]!.labels!.includes(name))];
        return Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0) - x * y;
      }),
    );
    return each.reduce((a, b) => a + b, 0) / each.length;
  },
};

/** A list, or a text with separators; empty is no label. */
function labelsIn(table: Table, row: number, column: string, separator: string): readonly string[] {
  const value = (table.rows[row] as Row)[column];
  return namesInCell(value, separator, () => table.place(row), column);
}
