/** Masked language modelling on rows: texts whose hidden words a model with a masked head has to find, as a BERT was trained before it knew a task. */
import { ops } from "@lowrank/tensor";
import { z } from "zod";
import { seed } from "../config/numbers.ts";
import { maskableTexts, MaskedTexts } from "../data/masked-texts.ts";
import { InputError } from "../errors.ts";
import type { RowTask } from "../records/row-task.ts";
import { countedLosses, lossAnswers, meanLossOf, type LossAnswer } from "./rows/loss-answers.ts";
import { readTexts, TEXT_COLUMNS, textKey, type TextItem } from "./rows/text-rows.ts";

export interface MaskedLmOptions {
  /** Share of a text's tokens that are hidden. */
  readonly masking: number;
  /** What the hidden tokens of evaluations and predictions are drawn from, with each text. Those of training are drawn anew in every pass. */
  readonly maskSeed: number;
}

export const maskedLm: RowTask<MaskedLmOptions, TextItem, LossAnswer> = {
  name: "masked-lm",
  kind: "MASKED_LM",
  items: "tokens",
  metrics: ["perplexity"],
  columns: { text: TEXT_COLUMNS.text },
  options: { masking: z.number().gt(0).lt(1).default(0.15), maskSeed: seed.default(0) },
  read: (table, columns) => table.rows.map((_, row) => readTexts(table, row, columns)),
  key: textKey,
  labels: () => [],
  encode({ items, place }, { tokenizer, padId, maxLength, options, part }) {
    // files without a word on roles spell it as BERT does, or RoBERTa
    const names = [tokenizer.specialTokens.mask, "[MASK]", "<mask>"];
    const mask = names
      .map((name) => (name === undefined ? undefined : tokenizer.idOf(name)))
      .find((id) => id !== undefined);
    if (mask === undefined)
      throw new InputError(
        "masked-lm: the tokenizer has no token for what is hidden; the models of BERT, RoBERTa and DistilBERT have one",
      );
    const texts = maskableTexts(
      tokenizer,
      items.map(({ text }) => text),
      maxLength,
      (i) => place(items[i]!),
    );
    return new MaskedTexts(texts, {
      padId,
      mask,
      maxLength,
      vocabSize: tokenizer.vocabSize,
      share: options.masking,
      fixed: part === "train" ? undefined : options.maskSeed,
    });
  },
  // [rows · slots]: the loss of what is hidden, 0 in slots of no use
  forward: (base, { inputIds, attentionMask, positions, labels }) => ({
    tokenLosses: base.forward({
      inputIds: inputIds!,
      attentionMask: attentionMask!,
      positions: positions!,
      labels: labels!,
    }).tokenLosses!,
  }),
  loss({ tokenLosses }, { labels }, reduction) {
    const sum = ops.sum(tokenLosses!);
    return reduction === "sum" ? sum : ops.div(sum, ops.cast(ops.sum(ops.ne(labels!, -100)), sum.dtype));
  },
  collector({ items }, examples) {
    const masked = examples as MaskedTexts;
    const sums = new Float64Array(masked.count);
    return {
      take({ members, length }, { tokenLosses }) {
        const each = masked.slots(length);
        members.forEach((member, row) => {
          const own = tokenLosses!.subarray(row * each, row * each + masked.targets[member]!);
          sums[member] = own.reduce((total, value) => total + value, 0);
        });
      },
      finish: () =>
        lossAnswers(
          items.length,
          masked.texts.map(({ item }, text) => ({ item, sum: sums[text]!, tokens: masked.targets[text]! })),
        ),
    };
  },
  counted: countedLosses,
  meanLoss: meanLossOf,
};
