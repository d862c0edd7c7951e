/** Bases with memory: drawn from a seed, or loaded from a checkpoint. The only file of the lab that knows how. */
import { fromPretrained } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { asInput, InputError } from "../errors.ts";
import type { BaseChoice, BaseNeeds } from "../records/task.ts";
import { Base, type BaseStorage } from "./base.ts";
import { overridesOf, type ModelKind } from "./kind.ts";
import { baseFiles, drawnPlan, loadedPlan, shapeModel, type BasePlan } from "./plan.ts";

/** A model with every weight drawn from `seed`. */
export async function drawBase(
  plan: BasePlan,
  kind: ModelKind,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  const model = shapeModel(plan);
  const kept = storage?.(model);
  await model.materialize({ device, seed, ...(kept === undefined ? {} : { storage: kept }) });
  return new Base(model, kind, device);
}

/**
 * The checkpoint in `folder` with the head that the task needs; what it lacks (the head, often a pooler) is drawn from `seed`.
 * Throws InputError when the folder holds something else.
 */
export async function loadBase(
  folder: string,
  kind: ModelKind,
  needs: BaseNeeds,
  seed: number,
  device: Device,
  storage?: BaseStorage,
): Promise<Base> {
  const [configPath] = baseFiles(folder);
  return asInput(async () => {
    const { as, config } = loadedPlan(configPath!, kind, needs);
    // tables are often padded to a round number; too small a one lacks a word
    if (config.vocabSize < needs.vocab)
      throw new InputError(
        `${configPath}: vocab_size is ${config.vocabSize}, the tokenizer has ${needs.vocab}; the checkpoint belongs to another tokenizer`,
      );
    if (config.maxPositionEmbeddings < needs.positions)
      throw new InputError(
        `${configPath}: max_position_embeddings is ${config.maxPositionEmbeddings}; set task.maxLength to at most that`,
      );
    const { model, report } = await fromPretrained(folder, as, {
      device,
      ...overridesOf(kind, needs),
      seed,
      ...(storage === undefined ? {} : { storage }),
    });
    const [kept] = report.forms.values();
    if (kept !== undefined)
      throw new InputError(
        `${folder}: the base keeps its weights as ${kept}, and the configuration asks for another storage; say storage: ${kept}, or give the base at full width`,
      );
    return new Base(model, kind, device, report.fresh);
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
  if (choice.base !== null) return loadBase(choice.base, kind, needs, initSeed, device, storage);
  const base = await drawBase(drawnPlan(choice.model!, kind, needs), kind, choice.model!.seed, device, storage);
  await base.freshHead(initSeed);
  return base;
}
