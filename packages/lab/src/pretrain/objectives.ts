/** What a pre-training predicts: words that are hidden (BERT), or the next one (GPT-2). */
import type { Tokenizer } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import type { ModelKind } from "../bases/kind.ts";
import { causalCorpus } from "../data/causal-corpus.ts";
import { corpusIdentity, heldOutIdentity } from "../data/corpus.ts";
import { loadGpt2Tokenizer } from "../data/gpt2-tokenizer.ts";
import { copyTokenizer, loadWordTokenizer, tokenizerFolder } from "../data/word-piece.ts";
import type { Task, TaskData, TaskEnvironment } from "../records/task.ts";
import { LossScorer, maskedCorpora } from "../tasks/masked-corpora.ts";
import { nextToken } from "../tasks/next-token.ts";
import { rowLosses } from "../tasks/rows/losses.ts";
import type { PretrainConfig } from "./config.ts";

export interface PretrainWords {
  readonly vocabSize: number;
  /** Content hash of the tokenizer's files. */
  readonly identity: string;
  /** Puts the tokenizer into the checkpoint's folder. */
  write(folder: string): void | Promise<void>;
}

// methods and not properties below, so that an objective knows its own words (bivariance)
export interface Objective<W extends PretrainWords = PretrainWords> {
  readonly kind: ModelKind;
  readonly task: Pick<Task, "loss" | "outputs">;
  /** Tokens of a row that are not of the texts. */
  readonly special: number;
  words(dataFolder: string): Promise<W>;
  /** Content of the texts. */
  identity(corpus: PretrainConfig["corpus"], dataFolder: string): string;
  data(corpus: PretrainConfig["corpus"], words: W, environment: TaskEnvironment, device: Device): Promise<TaskData>;
  /** Share of a batch's tokens whose scores over the vocabulary are in memory at once. */
  scored(corpus: PretrainConfig["corpus"]): number;
}

const mlm: Objective = {
  kind: maskedCorpora.kind,
  task: maskedCorpora,
  // one before each text and one after it
  special: 2,
  async words(dataFolder) {
    const from = tokenizerFolder(dataFolder, null);
    const { vocabSize, identity } = await loadWordTokenizer(from);
    return { vocabSize, identity, write: (folder) => copyTokenizer(from, folder) };
  },
  identity: ({ sources }, dataFolder) => corpusIdentity({ dataFolder, sources }),
  data: (corpus, _, environment, device) =>
    maskedCorpora.data(
      { name: "masked-corpora", ...corpus, masking: corpus.masking! },
      { base: null, model: null },
      environment,
      device,
    ),
  scored: ({ masking }) => masking!,
};

/** Rows are of one length: one plan. */
const MULTIPLE = 8;

const clm: Objective<PretrainWords & { readonly tokenizer: Tokenizer }> = {
  kind: nextToken.kind,
  task: rowLosses(nextToken),
  special: 0,
  async words(dataFolder) {
    const gpt2 = await loadGpt2Tokenizer(dataFolder);
    return { ...gpt2, vocabSize: gpt2.tokenizer.vocabSize };
  },
  identity: ({ sources }, dataFolder) => `${corpusIdentity({ dataFolder, sources })}/${heldOutIdentity(dataFolder)}`,
  async data(corpus, { tokenizer, identity, vocabSize }, environment) {
    const { train, heldOut } = causalCorpus({ ...environment, ...corpus }, tokenizer, identity);
    return {
      train,
      dev: heldOut,
      multiple: MULTIPLE,
      needs: { vocab: vocabSize, positions: corpus.length, labels: 2 },
      base: () => Promise.reject(new Error("internal: a pre-training draws its own base")),
      scorer: () => new LossScorer(),
    };
  },
  // the loss is computed over the vocabulary in blocks
  scored: () => 0,
};

export const OBJECTIVES: Readonly<Record<"mlm" | "clm", Objective>> = { mlm, clm };
