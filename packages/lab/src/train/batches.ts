/** From the words of a study to the order of training, and the batches of an evaluation. */
import type { TrainOptions } from "../config/study.ts";
import type { Cut, CursorOptions } from "../data/cursor.ts";
import type { Batch, BatchShape, Examples } from "../data/examples.ts";
import { evaluationGroups, paddedLength } from "../data/length-groups.ts";
import { acrossLengths, shuffledRows, type RowOrder } from "../data/orders.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { TaskData } from "../records/task.ts";

export type BatchWords = Pick<TrainOptions, "batchSize" | "grouping" | "microBatch">;

/** Parts of a batch that is computed in groups of like length, where nothing says how many rows each has. */
const LENGTH_GROUPS = 4;

/**
 * How a run goes through its data. @param seed root seed of the run
 * @param given an order from outside, in place of the study's
 */
export function cursorOptions(
  { batchSize, grouping = "across", microBatch }: BatchWords,
  { lengths, count }: Examples,
  multiple: number,
  seed: number,
  given?: RowOrder,
): CursorOptions {
  const order =
    given ?? (grouping === "across" ? acrossLengths(lengths, batchSize, seed) : shuffledRows(count, batchSize, seed));
  const within: Cut = { rows: microBatch ?? Math.ceil(batchSize / LENGTH_GROUPS), byLength: true };
  const grouped = grouping === "within-batch" && !alike(lengths, multiple);
  return { order, multiple, seed, cut: grouped ? within : { rows: microBatch } };
}

/** Whether all rows are as long once they are padded: then there is nothing to group. */
function alike(lengths: Int32Array, multiple: number): boolean {
  const first = paddedLength(lengths[0] ?? 1, multiple);
  return lengths.every((length) => paddedLength(length, multiple) === first);
}

/** Batches that cover the set once, by length. */
export function* evaluationBatches(examples: Examples, shape: BatchShape): Generator<Batch> {
  for (const [i, group] of evaluationGroups(examples.lengths, shape.rows).entries())
    yield examples.batch(group, shape, deriveSeed(0, `evaluation/${i}`));
}

/** Batches of an evaluation of a task's data. @param rows of a batch, where the task says nothing of its own */
export function devBatches(data: Pick<TaskData, "dev" | "multiple" | "devBatches">, rows: number): Iterable<Batch> {
  return data.devBatches?.() ?? evaluationBatches(data.dev, { rows, multiple: data.multiple });
}

/** Optimizer steps in one pass. */
export function stepsPerEpoch({ count }: Examples, rows: number): number {
  return Math.ceil(count / rows);
}
