/** What all tasks share that give each text one of some labels: loss, what an evaluation reads, predictions. */
import { ops } from "@lowrank/tensor";
import { exampleCount, type ClassificationSet } from "../data/classification.ts";
import type { LabelledItems } from "../records/metric.ts";
import { degenerate } from "../statistics/degenerate.ts";
import type { Scored, Scorer, Task } from "../records/task.ts";

/** Fields of a `Task`. Batches have `inputIds`, `attentionMask` and `labels`. */
export const classification: Pick<Task, "kind" | "items" | "metrics" | "loss" | "outputs"> = {
  kind: "SEQ_CLS",
  items: "labels",
  metrics: ["accuracy", "f1"],
  loss(base, { inputIds, attentionMask, labels }, reduction) {
    const logits = base.logits({ inputIds: inputIds!, attentionMask: attentionMask! });
    return ops.crossEntropy(logits, labels!, { reduction });
  },
  outputs(base, { inputIds, attentionMask, labels }) {
    const logits = base.logits({ inputIds: inputIds!, attentionMask: attentionMask! });
    return { logits, loss: ops.crossEntropy(logits, labels!, { reduction: "sum" }) };
  },
};

/** Collects logits `[examples, classes]` in the order of the set. */
export class ClassificationScorer implements Scorer<LabelledItems> {
  readonly #set: ClassificationSet;
  readonly #classes: number;
  readonly #logits: Float64Array;

  constructor(set: ClassificationSet, classes: number) {
    this.#set = set;
    this.#classes = classes;
    this.#logits = new Float64Array(exampleCount(set) * classes);
  }

  take({ members }: { readonly members: Int32Array }, outputs: Readonly<Record<string, Float64Array>>): LabelledItems {
    const classes = this.#classes;
    const logits = outputs["logits"]!.subarray(0, members.length * classes);
    members.forEach((member, row) =>
      this.#logits.set(logits.subarray(row * classes, (row + 1) * classes), member * classes),
    );
    return {
      predicted: argmaxRows(logits, classes),
      labels: Int32Array.from(members, (member) => this.#set.labels[member]!),
      classes,
    };
  }

  /** `index` is the row of the data file. Logits have 9 significant digits, which identifies every f32. */
  finish(): Scored {
    const [logits, classes, { labels, rows }] = [this.#logits, this.#classes, this.#set];
    const predicted = argmaxRows(logits, classes);
    const warning = degenerate(predicted, labels);
    return {
      ...(warning === undefined ? {} : { warnings: [warning] }),
      outputs: logits,
      loss: meanCrossEntropy(logits, labels, classes),
      decisions: predicted.join(","),
      predictions: Array.from(predicted, (prediction, index) =>
        JSON.stringify({
          index: rows?.[index] ?? index,
          label: labels[index],
          prediction,
          logits: Array.from(logits.subarray(index * classes, (index + 1) * classes), (value) =>
            Number(value.toPrecision(9)),
          ),
        }),
      ),
    };
  }
}

/** Index of the largest value in `logits[row]`; the first one of equals, and a NaN before any number, as torch.argmax on CPU. */
export function argmaxRows(logits: ArrayLike<number>, classes: number): Int32Array {
  return Int32Array.from({ length: logits.length / classes }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const [value, largest] = [logits[row * classes + c]!, logits[row * classes + best]!];
      if (value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) best = c;
    }
    return best;
  });
}

/** Mean cross-entropy of logits, recomputed in f64: the task's loss and nothing else. */
export function meanCrossEntropy(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): number {
  let total = 0;
  for (let row = 0; row < labels.length; row++) {
    let max = -Infinity;
    for (let c = 0; c < classes; c++) max = Math.max(max, logits[row * classes + c]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[row * classes + c]! - max);
    total += max + Math.log(sum) - logits[row * classes + labels[row]!]!;
  }
  return total / labels.length;
}
