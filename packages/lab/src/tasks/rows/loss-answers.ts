/** Answers that are losses: of items whose texts a language model goes on with, or fills in. */
import type { TokenItems } from "../../records/metric.ts";
import type { Answer } from "../../records/row-task.ts";
import { written } from "./output-rows.ts";

export interface LossAnswer extends Answer {
  /** Summed over the tokens that count, in nats. */
  readonly sum: number;
  readonly tokens: number;
}

/** One text of an item: a long one has several. */
export interface TextLoss {
  /** Position of its item. */
  readonly item: number;
  readonly sum: number;
  readonly tokens: number;
}

/** An answer for each of `count` items, from the losses of their texts. */
export function lossAnswers(count: number, texts: Iterable<TextLoss>): LossAnswer[] {
  const [sums, tokens] = [new Float64Array(count), new Int32Array(count)];
  for (const text of texts) {
    sums[text.item]! += text.sum;
    tokens[text.item]! += text.tokens;
  }
  return Array.from(sums, (sum, i): LossAnswer => {
    const mean = sum / tokens[i]!;
    return {
      sum,
      tokens: tokens[i]!,
      decision: String(written(mean)),
      numbers: [sum],
      fields: { loss: written(mean), perplexity: written(Math.exp(mean)), tokens: tokens[i]! },
    };
  });
}

/** What a task's metrics and its loss are told from. */
export function countedLosses(answers: readonly LossAnswer[]): TokenItems {
  return {
    loss: answers.reduce((total, { sum }) => total + sum, 0),
    counted: answers.reduce((total, { tokens }) => total + tokens, 0),
  };
}

/** In nats a token. */
export function meanLossOf(answers: readonly LossAnswer[]): number {
  const { loss, counted } = countedLosses(answers);
  return loss / counted;
}
