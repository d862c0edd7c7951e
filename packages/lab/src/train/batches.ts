/** Training and evaluation order of a classification task, as compiled-function inputs. */
import type { CompileInputs } from "@lowrank/tensor";
import {
  type ClassificationBatch,
  type ClassificationSet,
  classificationBatch,
  exampleCount,
} from "../data/classification.ts";
import { evaluationGroups, trainingGroups } from "../data/length-groups.ts";
import { sequenceLengths } from "../data/token-set.ts";
import { deriveSeed } from "../random/seeds.ts";

export interface BatchOptions {
  readonly rows: number;
  readonly multiple: number;
  readonly padId: number;
}

/** Batches of one epoch; the order depends on the run's seed and the epoch only. */
export function* epochBatches(
  set: ClassificationSet,
  options: BatchOptions,
  seed: number,
  epoch: number,
): Generator<ClassificationBatch> {
  const groups = trainingGroups(sequenceLengths(set.tokens), options.rows, deriveSeed(seed, `data-order/${epoch}`));
  for (const group of groups) yield classificationBatch(set, group, options);
}

/** Batches that cover the set once, by length. */
export function* evaluationBatches(set: ClassificationSet, options: BatchOptions): Generator<ClassificationBatch> {
  for (const group of evaluationGroups(sequenceLengths(set.tokens), options.rows))
    yield classificationBatch(set, group, options);
}

/** Optimizer steps in one pass. */
export function stepsPerEpoch(set: ClassificationSet, rows: number): number {
  return Math.ceil(exampleCount(set) / rows);
}

/** `inputIds` i32 and `attentionMask` bool `[rows, length]`, `labels` i32 `[rows]`. */
export function batchInputs(batch: ClassificationBatch): CompileInputs {
  const shape = [batch.rows, batch.length];
  return {
    inputIds: { data: batch.inputIds, shape, dtype: "i32" },
    attentionMask: { data: batch.attentionMask, shape, dtype: "bool" },
    labels: { data: batch.labels, shape: [batch.rows], dtype: "i32" },
  };
}
