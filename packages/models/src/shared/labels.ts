/** Labels of a task as `config.json` has them: their number is the size of `id2label`; `num_labels` is read and never written. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  checkFile,
  fields,
  leaf,
  mapOf,
  oneOf,
  optional,
  refuse,
  text,
  type Place,
  type Rule,
} from "@lowrank/tensor/check";
import { orNull } from "./config-rules.ts";
import type { ConfigSource } from "./config-table.ts";

const PROBLEMS = ["regression", "single_label_classification", "multi_label_classification"] as const;
/** Which loss a classifier has: mean squared error, cross-entropy, or one binary cross-entropy a label. */
export type ProblemType = (typeof PROBLEMS)[number];
export const problemType: Rule<ProblemType> = oneOf(...PROBLEMS);

export interface LabelFields {
  readonly numLabels: number;
  /** Names by id; undefined where they have none. */
  readonly id2label: readonly string[] | undefined;
  /** Undefined: by the number of labels and their dtype, as in transformers. */
  readonly problemType: ProblemType | undefined;
}

export interface LabelOverrides {
  /** How many labels a new head has, or their names. */
  readonly labels?: number | readonly string[];
  readonly problemType?: ProblemType;
}

const MOST_LABELS = 2 ** 20;
export const labelCount: Rule<number> = leaf(
  `a positive whole number up to ${MOST_LABELS}, beyond which no memory holds the head`,
  (v) => Number.isSafeInteger(v) && (v as number) >= 1 && (v as number) <= MOST_LABELS,
);
const uniqueNames: Rule<readonly string[]> = {
  expects: "a list of names that differ",
  read(value, at: Place) {
    const good =
      Array.isArray(value) &&
      value.length > 0 &&
      value.length <= MOST_LABELS &&
      value.every((v) => typeof v === "string") &&
      new Set(value).size === value.length;
    return good ? (value as string[]) : refuse(at, "must be a list of names that differ");
  },
};
/** For option objects: a count or names. */
export const labelsOption: Rule<number | readonly string[]> = {
  expects: `${labelCount.expects}, or ${uniqueNames.expects}`,
  read: (value, at) => (Array.isArray(value) ? uniqueNames.read(value, at) : labelCount.read(value, at)),
};

/** What option objects that take `LabelOverrides` say of them, and other people's spellings. */
export const LABEL_OPTIONS: {
  readonly labels: Rule<LabelOverrides["labels"]>;
  readonly problemType: Rule<LabelOverrides["problemType"]>;
} = { labels: optional(labelsOption), problemType: optional(problemType) };
export const LABEL_SPELLINGS: Readonly<Record<string, string>> = {
  num_labels: "labels",
  numLabels: "labels",
  id2label: "labels",
  problem_type: "problemType",
};

/** transformers' own name of a label that was given none. */
const unnamed = (id: number): string => `LABEL_${id}`;

const FILE = fields<{
  num_labels: number | null | undefined;
  id2label: Record<string, string> | null | undefined;
  problem_type: ProblemType | null | undefined;
}>(
  {
    num_labels: optional(orNull(labelCount)),
    id2label: optional(orNull(mapOf(text))),
    problem_type: optional(orNull(problemType)),
  },
  { unknown: "keep" },
);

export function readLabels(source: ConfigSource, overrides: LabelOverrides): LabelFields {
  const file = checkFile("config.json", FILE, source);
  const named = file.id2label == null ? undefined : namesOf(file.id2label);
  const { labels } = overrides;
  if (labels === undefined && named !== undefined && file.num_labels != null && file.num_labels !== named.length)
    throw new LowrankError(
      "FormatError",
      `config.json: num_labels ${file.num_labels} and id2label with ${named.length} names disagree; give the number of labels that is meant`,
    );
  const numLabels = typeof labels === "object" ? labels.length : (labels ?? named?.length ?? file.num_labels ?? 2);
  const names = typeof labels === "object" ? labels : named?.length === numLabels ? named : undefined;
  const twice = names?.find((n, i) => names.indexOf(n) < i);
  if (twice !== undefined)
    throw new LowrankError(
      "FormatError",
      `config.json: "id2label" names two labels ${quote(twice)}; each needs a name of its own`,
    );
  const problem = overrides.problemType ?? file.problem_type ?? undefined;
  if (problem === "single_label_classification" && numLabels === 1)
    throw new LowrankError(
      "FormatError",
      "config.json: problem_type single_label_classification needs more than one label; two labels are a binary choice, one label is a regression",
    );
  return {
    numLabels,
    id2label: names?.every((n, i) => n === unnamed(i)) === true ? undefined : names,
    problemType: problem,
  };
}

function namesOf(map: Readonly<Record<string, string>>): readonly string[] | undefined {
  const count = Object.keys(map).length;
  if (count === 0) return undefined;
  return Array.from({ length: count }, (_, i) => {
    if (!Object.hasOwn(map, String(i)))
      throw new LowrankError(
        "FormatError",
        `config.json: "id2label" must name the ids 0 to ${count - 1}; ${i} is missing`,
      );
    return map[String(i)]!;
  });
}

/** transformers writes neither map for its default of two labels without names. */
export function writeLabels({ numLabels, id2label, problemType: problem }: LabelFields): Record<string, unknown> {
  const names = id2label ?? Array.from({ length: numLabels }, (_, i) => unnamed(i));
  return {
    ...(problem === undefined ? {} : { problem_type: problem }),
    ...(id2label === undefined && numLabels === 2
      ? {}
      : {
          id2label: Object.fromEntries(names.map((n, i) => [i, n])),
          label2id: Object.fromEntries(names.map((n, i) => [n, i])),
        }),
  };
}
