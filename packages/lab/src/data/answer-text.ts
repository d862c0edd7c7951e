/**
 * When two answers are the same, after SQuAD's evaluation script (Rajpurkar et al. 2016, 2018): lower case, without ASCII punctuation, without
 * the words a, an and the, white space collapsed; the overlap is F1 of their bags of words.
 */

const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** `\b` of Python knows letters of all scripts. */
const ARTICLE = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
/** What Python's `split` takes for white space, but for the separators U+001C to U+001F. */
const SPACE = /(?:(?!\ufeff)\s|\u0085)+/u;

export function normalizedAnswer(text: string): string {
  return words(text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLE, " ")).join(" ");
}

/** 1 where some answer says the same, else 0. */
export function exactMatch(prediction: string, answers: readonly string[]): number {
  const said = normalizedAnswer(prediction);
  return answers.some((answer) => normalizedAnswer(answer) === said) ? 1 : 0;
}

/** The largest over the answers. Where either side has no word: 1 if neither has one, as in the script of 2018. */
export function answerOverlap(prediction: string, answers: readonly string[]): number {
  const said = words(normalizedAnswer(prediction));
  return answers.reduce((best, answer) => Math.max(best, overlap(said, words(normalizedAnswer(answer)))), 0);
}

function overlap(said: readonly string[], wanted: readonly string[]): number {
  if (said.length === 0 || wanted.length === 0) return said.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of said) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    common++;
    left.set(word, count - 1);
  }
  if (common === 0) return 0;
  const [precision, recall] = [common / said.length, common / wanted.length];
  return (2 * precision * recall) / (precision + recall);
}

function words(text: string): string[] {
  return text.split(SPACE).filter((word) => word !== "");
}
