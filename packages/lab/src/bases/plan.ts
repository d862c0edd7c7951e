/** A base before it has memory: its class and its sizes, from a checkpoint's `config.json` or from the sizes that a study gives. */
import { join } from "node:path";
import type { ConfigSource, ModelClass, ModelConfig, PretrainedModel } from "@lowrank/models";
import { LowrankError, quote } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import type { ModelOptions } from "../config/study.ts";
import { readText, statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import type { BaseChoice, BaseNeeds } from "../records/task.ts";
import { cut } from "../text/shown.ts";
import { classFor, overridesOf, type ModelKind } from "./kind.ts";

/** Whose sizes `model` gives where it does not say. */
const USUAL_FAMILY = "bert";

export interface BasePlan {
  readonly as: ModelClass;
  readonly config: ModelConfig;
}

/** A model of the plan's shape, without memory. */
export function shapeModel({ as, config }: BasePlan): PretrainedModel {
  return new as(config as never);
}

/** A base that is drawn. @throws InputError where its family is none, or is not drawn */
export function drawnPlan(model: ModelOptions, kind: ModelKind, needs: BaseNeeds): BasePlan {
  const { family = USUAL_FAMILY, seed: _, ...sizes } = model;
  const as = asFamily(family, kind);
  const source = as.family.sized?.({ ...sizes, vocab: needs.vocab, positions: needs.positions });
  if (source === undefined)
    throw new InputError(`"model.family" ${quote(family)}: models of this family are loaded, not drawn; give a base`);
  return { as, config: as.family.parse(source, overridesOf(kind, needs)) };
}

function asFamily(family: string, kind: ModelKind): ModelClass {
  try {
    return classFor({ model_type: family }, kind);
  } catch (error) {
    throw new InputError(`"model.family" ${quote(family)}: ${(error as Error).message}`, { cause: error });
  }
}

/** The plan of the base that a config adapts, read without weights. */
export function planOf({ base, model }: BaseChoice, kind: ModelKind, needs: BaseNeeds): BasePlan {
  return base === null ? drawnPlan(model!, kind, needs) : loadedPlan(baseFiles(base)[0]!, kind, needs);
}

/** Modules of the head that a base has for a task; of one that cannot be read, which is said where it is wanted, those of the usual family. */
export function headNames(base: string | null, family: string | undefined, kind: ModelKind): readonly string[] {
  const ofFamily = (name: string): readonly string[] => asFamily(name, kind).family.heads[kind] ?? [];
  try {
    return base === null
      ? ofFamily(family ?? USUAL_FAMILY)
      : (classFor(sourceOf(baseFiles(base)[0]!), kind).family.heads[kind] ?? []);
  } catch {
    return ofFamily(USUAL_FAMILY);
  }
}

const CHECKPOINT_FILES = ["config.json", "model.safetensors"];

/** The files of a checkpoint that a run reads. Throws InputError naming the one that is missing. */
export function baseFiles(folder: string): string[] {
  return CHECKPOINT_FILES.map((name) => {
    const path = join(folder, name);
    if (statOf(path) === undefined)
      throw new InputError(
        `base checkpoint not found: ${cut(path)}; --base needs a Hugging Face folder with config.json and model.safetensors`,
      );
    return path;
  });
}

/** A config.json has a few kilobytes; with the names of many labels more. */
const LARGEST_CONFIG = 2 ** 24;

function sourceOf(path: string): ConfigSource {
  return parseJson(readText(path, LARGEST_CONFIG), path) as ConfigSource;
}

/** @param path of `config.json` */
export function loadedPlan(
  path: string,
  kind: ModelKind,
  needs: Pick<BaseNeeds, "labels" | "problemType" | "padTokenId">,
): BasePlan {
  try {
    const source = sourceOf(path);
    const as = classFor(source, kind);
    return { as, config: as.family.parse(source, overridesOf(kind, needs)) };
  } catch (error) {
    if (error instanceof LowrankError) throw new InputError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
