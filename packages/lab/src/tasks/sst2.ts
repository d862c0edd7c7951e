/** SST-2 as a task: GLUE's files, the checkpoint in `base` or a random model of the tokenizer's vocabulary. */
import { z } from "zod";
import { makeBase } from "../bases/make.ts";
import { count, heldOutRows, rowRange } from "../config/numbers.ts";
import { ClassificationExamples, type ClassificationSet } from "../data/classification.ts";
import { overlapTrouble, type HeldOutRows, type RowRange } from "../data/row-range.ts";
import { loadSst2, sst2Identity } from "../data/sst2.ts";
import type { Task, TaskData } from "../records/task.ts";
import { classification, ClassificationScorer } from "./classification.ts";

export interface Sst2Task {
  readonly name: "sst2";
  /** Longest sequence, special tokens included. */
  readonly maxLength: number;
  /** Rows of train.tsv to train on. Absent: all, but those that are held out. */
  readonly trainRows?: RowRange | undefined;
  /** Rows of train.tsv to evaluate on. Absent: dev.tsv. */
  readonly validation?: HeldOutRows | undefined;
  /** How many of them, by a fixed shuffle. */
  readonly trainLimit?: number | undefined;
  /** Of those that are evaluated on. */
  readonly devLimit?: number | undefined;
}

const LABELS = 2;

export const sst2: Task<Sst2Task, TaskData> = {
  ...classification,
  name: "sst2",
  schema: z.strictObject({
    name: z.literal("sst2"),
    maxLength: z.number().int().min(8).max(512).default(64),
    trainRows: rowRange.optional(),
    validation: heldOutRows.optional(),
    trainLimit: count.optional(),
    devLimit: count.optional(),
  }),
  readsFiles: true,
  check: ({ trainRows, validation }) => overlapTrouble({ trainRows, heldOut: validation?.trainRows }),
  // the tokenizer's vocabulary is not known yet: what is asked for here is the least
  least: () => ({ vocab: 1, positions: 1, labels: LABELS }),
  identity: (_, environment, base, revision) => sst2Identity({ ...environment, base, revision }),
  async data(task, choice, environment, device) {
    const { train, dev, tokenizer, tokenizerFolder } = await loadSst2({
      ...environment,
      base: choice.base,
      revision: choice.revision,
      maxLength: task.maxLength,
      trainRows: task.trainRows,
      heldOut: task.validation?.trainRows,
      trainLimit: task.trainLimit,
      devLimit: task.devLimit,
    });
    const needs = { vocab: tokenizer.vocabSize, positions: task.maxLength, labels: LABELS };
    const examples = (set: ClassificationSet): ClassificationExamples =>
      new ClassificationExamples(set, tokenizer.special.pad);
    return {
      train: examples(train),
      dev: examples(dev),
      multiple: 8,
      needs,
      tokenizerFolder,
      base: (initSeed, storage) => makeBase(choice, "SEQ_CLS", needs, initSeed, device, storage),
      scorer: () => new ClassificationScorer(dev, LABELS),
    };
  },
};
