/** What a metric is: a count over all items, and one number of it at the end. Never a mean of means. */

export interface Metric<Items = unknown, Count = unknown> {
  /** Key in results and `metrics.csv`. */
  readonly name: string;
  /** Word in tables: "F1". */
  readonly label: string;
  /** What is counted: a task with other items has no such metric. */
  readonly items: string;
  /** Which way is up: "best" asks. */
  readonly better: "higher" | "lower";
  /** Shares lie in [0, 1] and are shown in percent. */
  readonly unit: "share" | "number";
  /** The count with some more items. `before` is undefined for the first ones; it may be changed and returned. */
  update(before: Count | undefined, items: Items): Count;
  /** Of all items that were counted. */
  value(count: Count): number;
  /** What a result says beside the value, by key. */
  detail?(count: Count): Readonly<Record<string, unknown>>;
}

/** Classification's items: one prediction and one label each. */
export interface LabelledItems {
  readonly predicted: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

/** Rows of tags, as many predicted as there are. */
export interface TaggedItems {
  readonly gold: readonly (readonly string[])[];
  readonly predicted: readonly (readonly string[])[];
}

/** Questions: what was answered, and the answers that are right; none where the text has no answer. */
export interface AnsweredItems {
  readonly predicted: readonly string[];
  readonly answers: readonly (readonly string[])[];
}

/** Items that have any number of labels each: 1 for a label that is given and 0 for others, `[items, classes]`. */
export interface LabelSetItems {
  readonly predicted: ArrayLike<number>;
  readonly actual: ArrayLike<number>;
  readonly classes: number;
}

/** A number each. */
export interface NumberItems {
  readonly predicted: ArrayLike<number>;
  readonly actual: ArrayLike<number>;
}

/** Items of a language model: the summed loss of some tokens, and how many of them count. */
export interface TokenItems {
  readonly loss: number;
  readonly counted: number;
}

/** The same, and how many words these tokens make. */
export interface WordItems extends TokenItems {
  readonly words: number;
}

/** Value and details of metrics after their counts, in order, as results hold them. */
export function measured(metrics: readonly Metric[], counts: ReadonlyMap<Metric, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    metrics.flatMap((metric) => {
      const count = counts.get(metric);
      return [[metric.name, metric.value(count)], ...Object.entries(metric.detail?.(count) ?? {})];
    }),
  );
}

/** Of two values the better one is `a`. */
export function isBetter({ better }: Pick<Metric, "better">, a: number, b: number): boolean {
  return better === "higher" ? a > b : a < b;
}
