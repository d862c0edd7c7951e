/** A text, or a pair of texts, has one of some labels. */
import { ops } from "@lowrank/tensor";
import { z } from "zod";
import { positive } from "../config/numbers.ts";
import { IGNORED } from "../data/classification.ts";
import { TextExamples } from "../data/text-examples.ts";
import { InputError } from "../errors.ts";
import type { LabelledItems } from "../records/metric.ts";
import { degenerate } from "../statistics/degenerate.ts";
import type { Answer, RowTask } from "../records/row-task.ts";
import { argmaxRows, meanCrossEntropy } from "./classification.ts";
import { checkLabels, labelCell, labelIds, orderedLabels, sayAlike } from "./rows/labels.ts";
import { textInputs } from "./rows/inputs.ts";
import { collectRows, written } from "./rows/output-rows.ts";
import { encodeItems, readTexts, TEXT_COLUMNS, textKey, type TextItem } from "./rows/text-rows.ts";

/** A row: its texts, and its label where that is said. */
export interface LabelledText extends TextItem {
  readonly label?: string;
}

export interface TextClassificationOptions {
  /** Names in an order of one's own. Absent: those of the rows. */
  readonly labels?: readonly string[] | undefined;
  /** What an error at a row of a label counts. `balanced`: rows ÷ (labels × rows of the label). */
  readonly classWeights?: "balanced" | Readonly<Record<string, number>> | undefined;
}

export interface LabelAnswer extends Answer {
  readonly logits: Float64Array;
  readonly prediction: number;
}

export const textClassification: RowTask<TextClassificationOptions, LabelledText, LabelAnswer> = {
  name: "text-classification",
  kind: "SEQ_CLS",
  items: "labels",
  metrics: ["accuracy", "f1"],
  columns: {
    ...TEXT_COLUMNS,
    label: { names: ["label", "labels", "class", "category", "target", "sentiment"], needed: "labelled" },
  },
  options: {
    labels: z.array(z.string().min(1)).min(2).optional(),
    classWeights: z
      .union([z.literal("balanced"), z.record(z.string(), positive)], {
        error: `expected "balanced" or a weight for each label`,
      })
      .optional(),
  },
  read: (table, columns) =>
    table.rows.map((_, row) => ({
      ...readTexts(table, row, columns),
      ...(columns["label"] === undefined ? {} : { label: labelCell(table, row, columns["label"]) }),
    })),
  key: textKey,
  strata: (items) => items.map(({ label }) => label!),
  labels({ items, name }, { labels: given }, say) {
    if (given !== undefined) return given;
    const names = items.map(({ label }) => label!);
    const { labels, order } = orderedLabels(names);
    if (labels.length < 2)
      throw new InputError(
        `${name}: every row has the label ${JSON.stringify(labels[0])}; there is nothing to tell apart`,
      );
    sayAlike(name, names, say);
    say(`labels, ${order}: ${labels.join(", ")}`);
    return labels;
  },
  check({ items, name, place }, { labels, options }, part) {
    checkLabels({ name, labels: items.map(({ label }) => [label!]), place: (i) => place(items[i]!) }, labels, part);
    if (part === "train") weightsOf(labels, options, items);
  },
  head: ({ labels }) => ({ labels }),
  encode(rows, context) {
    const { items } = rows;
    const { padId, labels, options, part } = context;
    const texts = encodeItems(rows, context);
    const ids = labelIds(labels);
    // an evaluation is compared with others: it counts every row as one
    const weights = part === "train" ? weightsOf(labels, options, items) : undefined;
    return new TextExamples(texts, padId, (members, { rows }) => {
      if (part === "predict") return { inputs: {}, counted: members.length };
      const own = Int32Array.from(members, (member) => ids.get(items[member]!.label!)!);
      const asked = new Int32Array(rows).fill(IGNORED);
      asked.set(own);
      const inputs = { labels: { data: asked, shape: [rows], dtype: "i32" as const } };
      if (weights === undefined) return { inputs, counted: members.length };
      const each = new Float32Array(rows);
      each.set(Float32Array.from(own, (id) => weights[id]!));
      return {
        inputs: { ...inputs, weights: { data: each, shape: [rows], dtype: "f32" } },
        counted: each.reduce((sum, weight) => sum + weight, 0),
      };
    });
  },
  forward: (base, inputs) => ({ logits: base.logits(textInputs(base, inputs)) }),
  loss({ logits }, { labels, weights }, reduction) {
    if (weights === undefined) return ops.crossEntropy(logits!, labels!, { reduction });
    const each = ops.cast(weights, logits!.dtype);
    const total = ops.sum(ops.mul(ops.crossEntropy(logits!, labels!, { reduction: "none" }), each));
    return reduction === "sum" ? total : ops.div(total, ops.sum(each));
  },
  collector: ({ items }, _, { labels }) =>
    collectRows("logits", items.length, labels.length, (logits) => {
      const prediction = argmaxRows(logits, labels.length)[0]!;
      return {
        logits,
        prediction,
        decision: labels[prediction]!,
        numbers: logits,
        fields: {
          prediction: labels[prediction]!,
          probabilities: Object.fromEntries(softmax(logits).map((p, id) => [labels[id]!, written(p)])),
        },
      };
    }),
  counted(answers, items, { labels }): LabelledItems {
    const ids = labelIds(labels);
    return {
      predicted: answers.map(({ prediction }) => prediction),
      labels: items.map(({ label }) => ids.get(label!)!),
      classes: labels.length,
    };
  },
  doubt(answers, items, { labels }) {
    const ids = labelIds(labels);
    return degenerate(
      answers.map(({ prediction }) => prediction),
      items.map(({ label }) => ids.get(label!)!),
      labels,
    );
  },
  meanLoss(answers, items, { labels }) {
    const ids = labelIds(labels);
    const logits = answers.flatMap((answer) => [...answer.logits]);
    return meanCrossEntropy(
      logits,
      items.map(({ label }) => ids.get(label!)!),
      labels.length,
    );
  },
};

/** By label; undefined where all are 1. @throws InputError for a name that is no label */
function weightsOf(
  labels: readonly string[],
  { classWeights }: TextClassificationOptions,
  items: readonly LabelledText[],
): readonly number[] | undefined {
  if (classWeights === undefined) return undefined;
  if (classWeights === "balanced") {
    const counts = new Map<string, number>();
    for (const { label } of items) counts.set(label!, (counts.get(label!) ?? 0) + 1);
    return labels.map((label) => items.length / (labels.length * counts.get(label)!));
  }
  const unknown = Object.keys(classWeights).find((name) => !labels.includes(name));
  if (unknown !== undefined)
    throw new InputError(`classWeights: ${JSON.stringify(unknown)} is no label; labels are ${labels.join(", ")}`);
  return labels.map((label) => (Object.hasOwn(classWeights, label) ? classWeights[label]! : 1));
}

/** In f64. */
export function softmax(logits: Float64Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Array.from(logits, (x) => Math.exp(x - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}
