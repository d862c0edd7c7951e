/** What the trainer needs to know of a task: two labelled sets and a base model. */
import type { ClassificationSet } from "../data/classification.ts";
import type { Classifier } from "../train/classifier.ts";
import type { BaseStorage } from "../train/storage.ts";

export interface TaskEnvironment {
  readonly dataFolder: string;
  readonly cacheFolder: string;
  /** Receives lines for people about the data. */
  readonly say?: (line: string) => void;
}

export interface PreparedTask {
  readonly train: ClassificationSet;
  readonly dev: ClassificationSet;
  readonly labels: number;
  readonly padId: number;
  /** Folder with the files of the tokenizer, where texts were read. */
  readonly tokenizerFolder?: string;
  /** Sequences are padded to a multiple of this. */
  readonly multiple: number;
  /** A fresh copy of the base; values that the base does not bring, the classifier above all, are drawn from `initSeed`. Default storage: f32. */
  base(initSeed: number, storage?: BaseStorage): Promise<Classifier>;
}
