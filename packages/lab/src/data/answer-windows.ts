/**
 * Questions about texts, as windows: the question and a piece of the text that both fit, each piece beginning `stride` tokens before the last one
 * ended. An answer that does not lie in a window as a whole is, for that window, its first token. As transformers' question answering examples do.
 */
import type { Tokenizer } from "@lowrank/models";

export interface AnswerWindow {
  /** Which question. */
  readonly question: number;
  readonly ids: readonly number[];
  readonly typeIds: readonly number[];
  /** Place of the text's first token in `ids`. */
  readonly first: number;
  /** Where each of the text's tokens stands in it, in UTF-16 units. */
  readonly offsets: readonly (readonly [number, number])[];
}

export interface Asked {
  readonly question: string;
  readonly context: string;
}

/** @param stride tokens of the text that two windows share */
export function answerWindows(
  tokenizer: Tokenizer,
  asked: readonly Asked[],
  maxLength: number,
  stride: number,
): AnswerWindow[] {
  return asked.flatMap(({ question, context }, at) => {
    const { encodings } = tokenizer.encodeBatch([question.trimStart()], {
      pairs: [context],
      maxLength,
      truncation: "only_second",
      overflow: true,
      stride,
    });
    return encodings.map(({ ids, typeIds, offsets, sequenceIds }): AnswerWindow => {
      const first = sequenceIds.indexOf(1);
      const last = sequenceIds.lastIndexOf(1);
      return { question: at, ids, typeIds, first, offsets: first < 0 ? [] : offsets.slice(first, last + 1) };
    });
  });
}

/** First and last token of characters [from, to) in a window; 0 and 0 where they are not all in it. */
export function answerTokens(
  { first, offsets }: Pick<AnswerWindow, "first" | "offsets">,
  from: number,
  to: number,
): readonly [number, number] {
  const start = offsets.findIndex(([, end]) => end > from);
  const end = offsets.findLastIndex(([begin]) => begin < to);
  const whole = offsets.length > 0 && offsets[0]![0] <= from && offsets.at(-1)![1] >= to && start >= 0 && end >= start;
  return whole ? [first + start, first + end] : [0, 0];
}

export interface Span {
  readonly score: number;
  /** Places in the text, in UTF-16 units. */
  readonly from: number;
  readonly to: number;
}

/**
 * The span of at most `longest` tokens with the largest sum of its two logits; the first of equals.
 * @returns undefined for a window without a token of the text
 */
export function bestSpan(
  { first, offsets }: Pick<AnswerWindow, "first" | "offsets">,
  startLogits: ArrayLike<number>,
  endLogits: ArrayLike<number>,
  longest: number,
): Span | undefined {
  let best: Span | undefined;
  for (let start = 0; start < offsets.length; start++) {
    for (let end = start; end < Math.min(offsets.length, start + longest); end++) {
      const score = startLogits[first + start]! + endLogits[first + end]!;
      if (best === undefined || score > best.score) best = { score, from: offsets[start]![0], to: offsets[end]![1] };
    }
  }
  return best;
}
