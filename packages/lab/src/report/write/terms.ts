/** Words that a report cannot do without, for who has not met them; those that it has, and no others. */
import type { Block } from "../document.ts";
import type { StudyReport } from "../model/report.ts";

interface Term {
  readonly term: string;
  readonly means: string;
  readonly isIn: (study: StudyReport) => boolean;
}

const method =
  (...names: readonly string[]) =>
  ({ runs }: StudyReport): boolean =>
    runs.some(({ resolved }) => names.includes(resolved.method.method));
const storage =
  (...names: readonly string[]) =>
  ({ runs }: StudyReport): boolean =>
    runs.some(({ resolved }) => names.includes(resolved.method.storage));
const metric =
  (name: string) =>
  ({ tasks }: StudyReport): boolean =>
    tasks.some((task) => task.metric === name);

const TERMS: readonly Term[] = [
  {
    term: "AdaLoRA",
    means:
      "an add-on that begins with more room everywhere than it may keep, and takes away while training what seems of least use: ranks end up adaptive, unlike fixed ones.",
    isIn: method("adalora"),
  },
  {
    term: "4-bit base",
    means:
      "the model's own numbers, which are not trained, are each kept as one of 16 values (NF4, FP4) instead of in 16 bits: a quarter of the room, and less exact.",
    isIn: storage("nf4", "fp4"),
  },
  {
    term: "accuracy",
    means: "the share of items that were answered rightly; more is better.",
    isIn: metric("accuracy"),
  },
  {
    term: "perplexity",
    means:
      "how well text is foretold: among how many equally likely continuations the model would be as unsure; less is better.",
    isIn: metric("perplexity"),
  },
];

export function termsIn(studies: readonly StudyReport[]): Block[] {
  const items = TERMS.flatMap(({ term, means, isIn }) => (studies.some(isIn) ? [[term, means] as const] : []));
  return items.length === 0 ? [] : [{ kind: "list", items }];
}
