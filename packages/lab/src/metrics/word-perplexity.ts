/**
 * exp of the loss of all tokens over the number of words that these make: what models of other vocabularies can be compared by. As `word_perplexity` of EleutherAI's
 * lm-evaluation-harness; which words are counted is the task's to say.
 */
import type { Metric, WordItems } from "../records/metric.ts";

export const wordPerplexity: Metric<WordItems, WordItems> = {
  name: "word-perplexity",
  label: "word perplexity",
  items: "words",
  better: "lower",
  unit: "number",
  update: (before = { loss: 0, counted: 0, words: 0 }, { loss, counted, words }) => ({
    loss: before.loss + loss,
    counted: before.counted + counted,
    words: before.words + words,
  }),
  value: ({ loss, words }) => Math.exp(loss / words),
  detail: ({ counted, words }) => ({ scored: { tokens: counted, words } }),
};
