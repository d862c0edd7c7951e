/** Masked language modelling on the corpora that `pretrain` trains on. Rows of files have `masked-lm`. */
import { ops } from "@lowrank/tensor";
import { z } from "zod";
import { makeBase } from "../bases/make.ts";
import { positive } from "../config/numbers.ts";
import {
  corpusIdentity,
  CORPUS_NAMES,
  heldOutIdentity,
  loadCorpus,
  loadHeldOut,
  type CorpusName,
} from "../data/corpus.ts";
import { MaskedExamples } from "../data/masking.ts";
import { loadWordTokenizer, tokenizerFolder, tokenizerIdentity } from "../data/word-piece.ts";
import type { TokenItems } from "../records/metric.ts";
import type { Scored, Scorer, Task, TaskData } from "../records/task.ts";

export interface MaskedCorporaTask {
  readonly name: "masked-corpora";
  readonly sources: readonly CorpusName[];
  /** Sequence length, special tokens included. */
  readonly length: number;
  /** At most this much of each source; all when absent. */
  readonly megabytes?: number | undefined;
  /** Share of tokens to predict. */
  readonly masking: number;
}

/** Coarser than for fine-tuning, since each shape is a plan with a large vocabulary projection. */
const MULTIPLE = 16;

export const maskedCorpora: Task<MaskedCorporaTask, TaskData> = {
  name: "masked-corpora",
  schema: z.strictObject({
    name: z.literal("masked-corpora"),
    sources: z.array(z.enum(CORPUS_NAMES)).min(1),
    length: z.number().int().min(8).max(65_536).default(64),
    megabytes: positive.optional(),
    masking: z.number().gt(0).lt(1).default(0.15),
  }),
  kind: "MASKED_LM",
  items: "tokens",
  metrics: ["perplexity"],
  readsFiles: true,
  least: () => ({ vocab: 1, positions: 1, labels: 2 }),
  async identity({ sources }, { dataFolder }, base, revision) {
    const data = [corpusIdentity({ dataFolder, sources }), heldOutIdentity(dataFolder)];
    return `${data.join("/")}/${await tokenizerIdentity(tokenizerFolder(dataFolder, base), revision)}`;
  },
  async data({ sources, length, megabytes, masking }, choice, environment, device) {
    const folder = tokenizerFolder(environment.dataFolder, choice.base);
    const tokenizer = await loadWordTokenizer(folder, choice.revision);
    const reading = { ...environment, sources, length, megabytes };
    const options = { special: tokenizer.special, vocabSize: tokenizer.vocabSize, probability: masking };
    const needs = { vocab: tokenizer.vocabSize, positions: length, labels: 2 };
    return {
      train: new MaskedExamples(loadCorpus(reading, tokenizer), options),
      dev: new MaskedExamples(loadHeldOut(reading, tokenizer), options),
      multiple: MULTIPLE,
      needs,
      tokenizerFolder: folder,
      base: (initSeed, storage) => makeBase(choice, "MASKED_LM", needs, initSeed, device, storage),
      scorer: () => new LossScorer(),
    };
  },
  // mean cross-entropy at the masked positions; `positions` and `labels` i32 [slots]
  loss(base, { inputIds, attentionMask, positions, labels }, reduction) {
    const inputs = { inputIds: inputIds!, attentionMask: attentionMask!, positions: positions! };
    if (reduction === "mean") return base.forward({ ...inputs, labels: labels! }).loss!;
    return ops.crossEntropy(base.forward(inputs).logits!, labels!, { reduction: "sum" });
  },
  outputs(base, { inputIds, attentionMask, positions, labels }) {
    const inputs = { inputIds: inputIds!, attentionMask: attentionMask!, positions: positions! };
    return { loss: ops.crossEntropy(base.forward(inputs).logits!, labels!, { reduction: "sum" }) };
  },
};

/** Scores of a whole vocabulary are not read: the loss alone is. */
export class LossScorer implements Scorer<TokenItems> {
  readonly #sums: number[] = [];

  take({ counted }: { readonly counted: number }, { loss }: Readonly<Record<string, Float64Array>>): TokenItems {
    this.#sums.push(loss![0]!);
    return { loss: loss![0]!, counted };
  }

  /** One line a batch: its summed loss, whose digits tell two models apart. */
  finish(): Scored {
    const lines = this.#sums.map((loss, batch) => JSON.stringify({ batch, loss: Number(loss.toPrecision(9)) }));
    return { predictions: lines, decisions: lines.join(), outputs: Float64Array.from(this.#sums) };
  }
}
