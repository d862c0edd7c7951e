/**
 * ROUGE-L (Lin 2004): how long a row of words two texts have in common, in order but not side by side; the harmonic mean of its shares of both. The mean over all
 * texts, of several targets the best one, as Google's rouge_score without its stemmer: words are runs of a-z and 0-9 after lower-casing, so that "é" parts a word.
 */
import type { AnsweredItems, Metric } from "../records/metric.ts";

export interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export function rougeWords(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

/** All 0 where one of the texts has no word. */
export function rougeLOf(target: string, prediction: string): RougeScore {
  const [wanted, given] = [rougeWords(target), rougeWords(prediction)];
  const common = longestCommon(wanted, given);
  if (common === 0) return { precision: 0, recall: 0, f1: 0 };
  const [precision, recall] = [common / given.length, common / wanted.length];
  return { precision, recall, f1: (2 * precision * recall) / (precision + recall) };
}

/** Words of the longest common subsequence: one row of the table at a time. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (let j = 0; j < b.length; j++) row[j + 1] = word === b[j] ? above[j]! + 1 : Math.max(above[j + 1]!, row[j]!);
    above = row;
  }
  return above[b.length]!;
}

interface Count {
  readonly total: number;
  readonly all: number;
}

export const rougeL: Metric<AnsweredItems, Count> = {
  name: "rouge-l",
  label: "ROUGE-L",
  items: "answers",
  better: "higher",
  unit: "share",
  update({ total, all } = { total: 0, all: 0 }, { predicted, answers }) {
    const best = predicted.map((text, i) => Math.max(0, ...answers[i]!.map((answer) => rougeLOf(answer, text).f1)));
    return { total: best.reduce((sum, one) => sum + one, total), all: all + best.length };
  },
  value: ({ total, all }) => total / all,
};
