/** Bases with memory: drawn from a seed, or loaded from a checkpoint. The only file of the lab that knows how. */
import { fromPretrained } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { revisionOf } from "../data/location.ts";
import { asInput, InputError } from "../errors.ts";
import type { BaseChoice, BaseNeeds } from "../records/task.ts";
import { Base, type BaseStorage } from "./base.ts";
import { findBase, type BaseSource } from "./found.ts";
import { overridesOf, type ModelKind } from "./kind.ts";
import { loadOptions } from "./load-options.ts";
import { drawnPlan, loadedPlan, shapeModel, type BasePlan } from "./plan.ts";

/** A model with every weight drawn from `seed`. */
export async function drawBase(
  plan: BasePlan,
  kind: ModelKind,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  if (storage?.rest === "file")
    throw new InputError('"storage" is keep, and a base that is drawn has no file that it could be kept as; say f32');
  const model = shapeModel(plan);
  const kept = storage?.each?.(model);
  await model.materialize({ device, seed, ...(kept === undefined ? {} : { storage: kept }) });
  return new Base(model, kind, device);
}

/**
 * The checkpoint at `source` with the head that the task needs; what it lacks (the head, often a pooler) is drawn from `seed`.
 * Throws InputError when there is something else.
 */
async function loadBase(
  source: BaseSource,
  kind: ModelKind,
  needs: BaseNeeds,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  const found = await findBase(source);
  return asInput(async () => {
    const { where } = found;
    const { as, config } = loadedPlan(found, kind, needs);
    // tables are often padded to a round number; too small a one lacks a word
    if (config.vocabSize < needs.vocab)
      throw new InputError(
        `${where}: vocab_size is ${config.vocabSize}, the tokenizer has ${needs.vocab}; the checkpoint belongs to another tokenizer`,
      );
    if (config.maxPositionEmbeddings < needs.positions)
      throw new InputError(
        `${where}: max_position_embeddings is ${config.maxPositionEmbeddings}; set task.maxLength to at most that`,
      );
    const { model, report } = await fromPretrained(source.base, as, {
      ...revisionOf(source),
      device,
      ...overridesOf(kind, needs),
      seed,
      ...loadOptions(device, storage),
    });
    return new Base(model, kind, device, report);
  });
}

/** The base of a study: the checkpoint, or one of the sizes that it gives. What a task has to learn anew is drawn from `initSeed`. */
export async function makeBase(
  choice: BaseChoice,
  kind: ModelKind,
  needs: BaseNeeds,
  initSeed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  const { base: from } = choice;
  if (from !== null) return loadBase({ ...choice, base: from }, kind, needs, initSeed, device, storage);
  const base = await drawBase(drawnPlan(choice.model!, kind, needs), kind, choice.model!.seed, device, storage);
  await base.freshHead(initSeed);
  return base;
}
