/** A family with its classes: what the registry holds, and what a folder of a family gives. */
import type { ModelClass, ModelFamily } from "./pretrained.ts";

export interface FamilyModels {
  readonly family: ModelFamily;
  /** The bare model, without a head: PEFT's task FEATURE_EXTRACTION. */
  readonly base: ModelClass;
  /** Models with a head by PEFT's task type; the first is what a file without `architectures` is loaded as. */
  readonly tasks: Readonly<Record<string, ModelClass>>;
  /** Models with a head for which PEFT has no task type. */
  readonly others?: readonly ModelClass[];
}
