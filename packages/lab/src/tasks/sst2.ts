/** SST-2 as a task: GLUE's files, the checkpoint in `base` or a random BERT of the tokenizer's vocabulary. */
import type { Device } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import type { Sst2Task } from "../config/study.ts";
import { loadSst2 } from "../data/sst2.ts";
import { bertConfig, loadClassifier, randomClassifier } from "../train/classifier.ts";
import type { PreparedTask, TaskEnvironment } from "./task.ts";

const LABELS = 2;

export async function prepareSst2(
  task: Sst2Task,
  config: ResolvedConfig,
  environment: TaskEnvironment,
  device: Device,
): Promise<PreparedTask> {
  const { train, dev, tokenizer, tokenizerFolder } = await loadSst2({
    ...environment,
    base: config.base,
    maxLength: task.maxLength,
    trainLimit: task.trainLimit,
    devLimit: task.devLimit,
  });
  return {
    train,
    dev,
    labels: LABELS,
    padId: tokenizer.special.pad,
    multiple: 8,
    tokenizerFolder,
    base: async (initSeed, storage) => {
      const needs = { vocab: tokenizer.vocabSize, positions: task.maxLength, labels: LABELS };
      if (config.base !== null) return loadClassifier(config.base, needs, initSeed, device, storage);
      const classifier = await randomClassifier(bertConfig(config.model!, needs), config.model!.seed, device, storage);
      await classifier.freshHead(initSeed);
      return classifier;
    },
  };
}
