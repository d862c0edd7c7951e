/** Which class of a family a task needs. */
import {
  architectureFor,
  architectureOf,
  architectures,
  type ConfigOverrides,
  type ConfigSource,
  type ModelClass,
} from "@lowrank/models";
import type { TaskType } from "@lowrank/peft";
import { LowrankError, quote } from "@lowrank/tensor";
import type { BaseNeeds } from "./needs.ts";

/** PEFT's task types, and what PEFT has no word for. */
export type ModelKind = TaskType | "MASKED_LM";

/** Kinds whose heads have the words of a tokenizer, or that have no head: none of them has labels. */
const WITHOUT_LABELS: readonly ModelKind[] = ["MASKED_LM", "CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION"];

/** Kinds of which a loss may be chosen. */
const OF_SEVERAL_LOSSES: readonly ModelKind[] = ["SEQ_CLS"];

/** What a model of that kind is made with: options of `fromPretrained` and of a family's `parse`. */
export function overridesOf(
  kind: ModelKind,
  { labels, problemType, padTokenId }: Pick<BaseNeeds, "labels" | "problemType" | "padTokenId">,
): Pick<ConfigOverrides, "labels" | "problemType" | "padTokenId"> {
  return {
    ...(WITHOUT_LABELS.includes(kind) ? {} : { labels }),
    ...(problemType === undefined || !OF_SEVERAL_LOSSES.includes(kind) ? {} : { problemType }),
    ...(padTokenId === undefined ? {} : { padTokenId }),
  };
}

/** transformers ends the names of such classes so; PEFT's task types have a table in each family. */
const MASKED = "ForMaskedLM";

/** @throws LowrankError where the file does not say whose it is, or its family has no such class */
export function classFor(source: ConfigSource, kind: ModelKind): ModelClass {
  if (kind !== "MASKED_LM") return architectureOf(architectureFor(source, kind));
  const { modelType } = architectureOf(architectureFor(source)).family;
  const found = Object.values(architectures).find(
    ({ architecture, family }) => family.modelType === modelType && architecture.endsWith(MASKED),
  );
  if (found === undefined)
    throw new LowrankError("NotBuiltError", `a ${quote(modelType)} that predicts masked words is not built`);
  return found;
}
