/** Training and evaluation order as batches. */
import type { Batch, BatchShape, Examples } from "../data/examples.ts";
import { evaluationGroups, trainingGroups } from "../data/length-groups.ts";
import { deriveSeed } from "../random/seeds.ts";

/** Batches of one epoch; the order depends on the run's seed and the epoch only. */
export function* epochBatches(examples: Examples, shape: BatchShape, seed: number, epoch: number): Generator<Batch> {
  const groups = trainingGroups(examples.lengths, shape.rows, deriveSeed(seed, `data-order/${epoch}`));
  for (const [i, group] of groups.entries())
    yield examples.batch(group, shape, deriveSeed(seed, `batch/${epoch}/${i}`));
}

/** Batches that cover the set once, by length. */
export function* evaluationBatches(examples: Examples, shape: BatchShape): Generator<Batch> {
  for (const [i, group] of evaluationGroups(examples.lengths, shape.rows).entries())
    yield examples.batch(group, shape, deriveSeed(0, `evaluation/${i}`));
}

/** Optimizer steps in one pass. */
export function stepsPerEpoch({ count }: Examples, rows: number): number {
  return Math.ceil(count / rows);
}
