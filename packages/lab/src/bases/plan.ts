/** A base before it has memory: its class and its sizes, from a checkpoint's config or from the sizes that a study gives. */
import type { LocatedCheckpoint, ModelClass, ModelConfig, PretrainedModel } from "@lowrank/models";
import { LowrankError, quote } from "@lowrank/tensor";
import type { ModelOptions } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { BaseChoice, BaseNeeds } from "../records/task.ts";
import { findBase } from "./found.ts";
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

/** The plan of the base that a config adapts, read without weights. @throws InputError where there is no base that can be read */
export async function planOf(choice: BaseChoice, kind: ModelKind, needs: BaseNeeds): Promise<BasePlan> {
  const { base, model } = choice;
  return base === null ? drawnPlan(model!, kind, needs) : loadedPlan(await findBase({ ...choice, base }), kind, needs);
}

/** Modules of the head that a base has for a task; of one that cannot be read, which is said where it is wanted, those of the usual family. */
export async function headNames(
  choice: { readonly base: string | null; readonly revision?: string | undefined },
  family: string | undefined,
  kind: ModelKind,
): Promise<readonly string[]> {
  const ofFamily = (name: string): readonly string[] => asFamily(name, kind).family.heads[kind] ?? [];
  const { base } = choice;
  try {
    return base === null
      ? ofFamily(family ?? USUAL_FAMILY)
      : (classFor((await findBase({ ...choice, base })).config, kind).family.heads[kind] ?? []);
  } catch (error) {
    // who waited in vain for a server is not made to wait again
    if (error instanceof LowrankError && error.code === "NetworkError") throw error;
    return usualHead(kind);
  }
}

/** None where the usual family has no model for the task: that, too, is said where the base is wanted. */
function usualHead(kind: ModelKind): readonly string[] {
  try {
    return asFamily(USUAL_FAMILY, kind).family.heads[kind] ?? [];
  } catch {
    return [];
  }
}

/** @throws InputError where the family has no such class, or the config is none of its */
export function loadedPlan(
  { where, config: source }: Pick<LocatedCheckpoint, "where" | "config">,
  kind: ModelKind,
  needs: Pick<BaseNeeds, "labels" | "problemType" | "padTokenId">,
): BasePlan {
  try {
    const as = classFor(source, kind);
    return { as, config: as.family.parse(source, overridesOf(kind, needs)) };
  } catch (error) {
    if (error instanceof LowrankError) throw new InputError(`${where}: ${error.message}`, { cause: error });
    throw error;
  }
}
