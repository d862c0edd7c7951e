/** SQuAD's two measures of answers, each the mean over all questions (Rajpurkar et al. 2016). */
import { answerOverlap, exactMatch } from "../data/answer-text.ts";
import type { AnsweredItems, Metric } from "../records/metric.ts";

interface Count {
  readonly total: number;
  readonly all: number;
}

function meanOver(
  name: string,
  label: string,
  score: (prediction: string, answers: readonly string[]) => number,
): Metric<AnsweredItems, Count> {
  return {
    name,
    label,
    items: "answers",
    better: "higher",
    unit: "share",
    update({ total, all } = { total: 0, all: 0 }, { predicted, answers }) {
      const scores = predicted.map((prediction, i) => score(prediction, answersOf(answers[i]!)));
      return { total: scores.reduce((sum, one) => sum + one, total), all: all + scores.length };
    },
    value: ({ total, all }) => total / all,
  };
}

/** A question without an answer is answered by saying nothing. */
function answersOf(answers: readonly string[]): readonly string[] {
  return answers.length === 0 ? [""] : answers;
}

export const exactMatchShare: Metric<AnsweredItems, Count> = meanOver("exact-match", "exact match", exactMatch);
export const answerF1: Metric<AnsweredItems, Count> = meanOver("answer-f1", "answer F1", answerOverlap);
