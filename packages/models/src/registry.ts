/** Architectures by the names that checkpoints carry: those of the families in `families.ts`, and whatever is registered. */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import * as built from "./families.ts";
import { FAMILY_MODELS, type FamilyModels } from "./family-models.ts";
import { identityOf, nearClass } from "./identity.ts";
import type { ModelClass, PretrainedModel } from "./pretrained.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import type { ConfigOverrides } from "./shared/config.ts";

const FAMILIES = new Map<string, FamilyModels>();
const HEADS: Record<string, ModelClass> = {};
const BARE: Record<string, ModelClass> = {};

/** Models with a head, by `architecture`. */
export const architectures: Readonly<Record<string, ModelClass>> = HEADS;
/** Models without one. */
export const bareArchitectures: Readonly<Record<string, ModelClass>> = BARE;

/**
 * Makes a family known by name, as if it were built in: `fromPretrained`, `architectureFor`, `metaModel` and whoever uses them find it.
 * @throws LowrankError (ConfigError) naming what the record lacks, (NameError) where another family has its `modelType` or one of its architectures
 */
export function registerFamily(models: FamilyModels): void {
  const { family, base, tasks, others = [] } = checkOptions("registerFamily", FAMILY_MODELS, models);
  const known = FAMILIES.get(family.modelType);
  if (known === models) return;
  const classes = [...new Set([...Object.values(tasks), ...others])];
  const taken = [base, ...classes].find(({ architecture }) => classNamed(architecture) !== undefined);
  if (known !== undefined || taken !== undefined)
    throw new LowrankError(
      "NameError",
      `registerFamily: ${known === undefined ? `the architecture ${quote(taken!.architecture)}` : `the model_type ${quote(family.modelType)}`} is taken; give yours another name`,
    );
  const foreign = [base, ...classes].find((c) => c.family.modelType !== family.modelType);
  if (foreign !== undefined)
    throw new LowrankError(
      "NameError",
      `registerFamily: ${foreign.architecture} says that its family is ${quote(foreign.family.modelType)}, not ${quote(family.modelType)}; set its static family`,
    );
  FAMILIES.set(family.modelType, models);
  BARE[base.architecture] = base;
  for (const one of classes) HEADS[one.architecture] = one;
}

for (const value of Object.values(built)) if (typeof value === "object" && "tasks" in value) registerFamily(value);

function classNamed(architecture: string): ModelClass | undefined {
  if (Object.hasOwn(HEADS, architecture)) return HEADS[architecture];
  return Object.hasOwn(BARE, architecture) ? BARE[architecture] : undefined;
}

/** `model_type` of the family that an architecture belongs to, where it is known. */
export function modelTypeOf(architecture: string): string | undefined {
  return classNamed(architecture)?.family.modelType;
}

/** PEFT's task type of a class, such as SEQ_CLS; undefined for those that it has no word for. */
export function taskOf(architecture: string): string | undefined {
  const models = FAMILIES.get(modelTypeOf(architecture) ?? "");
  return Object.entries(models?.tasks ?? {}).find(([, as]) => as.architecture === architecture)?.[0];
}

/** @throws LowrankError (NotBuiltError) with the nearest names */
export function architectureOf(name: string): ModelClass {
  const found = classNamed(name);
  if (found === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `architecture ${quote(name)} is not built${nearClass(name, [...Object.keys(HEADS), ...Object.keys(BARE)])}`,
    );
  return found;
}

/**
 * Which architecture a `config.json` is loaded as.
 * @param task PEFT's task type, such as SEQ_CLS; it decides before the file's `architectures` do
 * @throws LowrankError when the file does not say what it is, or the family's class for the task is not built
 */
export function architectureFor(config: ConfigSource, task?: string): string {
  const { modelType, architecture } = identityOf(config);
  const ofClass = architecture === undefined ? undefined : modelTypeOf(architecture);
  const type = modelType ?? ofClass;
  const there = `there are ${[...FAMILIES.keys()].join(", ")}`;
  if (type === undefined)
    throw new LowrankError(
      "FormatError",
      `config.json has no "model_type"${architecture === undefined ? ' and no "architectures"' : `, and ${quote(architecture)} is not built`}: whose sizes are these? Add "model_type"; ${there}`,
    );
  const models = FAMILIES.get(type);
  if (models === undefined)
    throw new LowrankError("NotBuiltError", `config.json: model_type ${quote(type)} is not built; ${there}`);
  if (ofClass !== undefined && ofClass !== type)
    throw new LowrankError(
      "FormatError",
      `config.json: model_type ${quote(type)} and architecture ${quote(architecture)} disagree`,
    );
  const tasks: Readonly<Record<string, ModelClass>> = { ...models.tasks, FEATURE_EXTRACTION: models.base };
  if (task === undefined)
    return architecture === undefined
      ? Object.values(tasks)[0]!.architecture
      : architectureOf(architecture).architecture;
  if (!Object.hasOwn(tasks, task))
    throw new LowrankError(
      "NotBuiltError",
      `a ${type} for task ${quote(task)} is not built; there are ${Object.keys(tasks).join(", ")}`,
    );
  return tasks[task]!.architecture;
}

/** A model of a class, with its shape only. */
export function build<M extends PretrainedModel>(
  as: ModelClass<M>,
  source: ConfigSource,
  overrides: ConfigOverrides = {},
): M {
  return new as(as.family.parse(source, overrides) as never);
}

/** A model with its shape only: names, shapes and counts, no memory. It is there for counting even where its function is not built; `forward` then says so. */
export function metaModel(architecture: string, config: ConfigSource): PretrainedModel {
  return build(architectureOf(architecture), config);
}
