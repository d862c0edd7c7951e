/** What is wrong with tags and answers of a model that learnt nothing: all alike, or right nowhere. */
import { answerOverlap, exactMatch } from "../../data/answer-text.ts";
import { entitiesOf } from "../../data/iob.ts";
import { allAlike, noneRight } from "../../statistics/degenerate.ts";

type TagRows = readonly (readonly string[])[];

/** One line for people, or nothing. @param said tags of each row @param right as many */
export function tagDoubt(said: TagRows, right: TagRows): string | undefined {
  const alike = allAlike(said.flat(), right.flat(), (tag, count) => `every one of ${count} words is tagged ${tag}`);
  if (alike !== undefined) return alike;
  const keys = (rows: TagRows): string[] =>
    rows.flatMap((tags, row) => entitiesOf(tags).map((entity) => JSON.stringify([row, entity])));
  const [wanted, found] = [new Set(keys(right)), keys(said)];
  if (wanted.size === 0 || found.some((entity) => wanted.has(entity))) return undefined;
  return noneRight(`none of ${wanted.size} entities was found; ${found.length} were named that are none`);
}

/** An answer, and where it begins in the text that was asked about; a text of no length is no answer. */
export interface PlacedAnswer {
  readonly text: string;
  readonly from: number;
}

/** One line for people, or nothing. @param said undefined for no answer @param right none where there is none */
export function answerDoubt(
  said: readonly (PlacedAnswer | undefined)[],
  right: readonly (readonly PlacedAnswer[])[],
): string | undefined {
  const place = (answer: PlacedAnswer | undefined): string =>
    answer === undefined ? "empty" : `at character ${answer.from} and ${answer.text.length} long`;
  const alike = allAlike(
    said.map(place),
    right.map(([first]) => place(first)),
    (where, count) => `every one of ${count} answers is ${where}`,
  );
  if (alike !== undefined) return alike;
  const texts = right.map((answers) => answers.map(({ text }) => text));
  const asked = texts.filter((answers) => answers.length > 0).length;
  const textOf = (i: number): string => said[i]?.text ?? "";
  if (asked > 0 && !texts.some((answers, i) => answerOverlap(textOf(i), answers) > 0))
    return noneRight(`none of ${asked} answers has a word of the right one`);
  const empty = texts.length - asked;
  const exact = texts.filter((answers, i) => exactMatch(textOf(i), answers.length === 0 ? [""] : answers) === 1).length;
  if (empty === 0 || exact > empty) return undefined;
  return noneRight(`${exact} of ${texts.length} answers are right, no more than saying nothing every time (${empty})`);
}
