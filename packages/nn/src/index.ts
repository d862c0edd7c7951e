/**
 * @module
 * Module tree, layers, losses, optimizers and schedules with torch's semantics.
 */
export { Block, gradientCheckpointing } from "./block.ts";
export { clipGradNorm, gradNorm } from "./clip.ts";
export { endsAtDot, endsIn, type AdapterTargets, type FamilyFacts, type LayerParts } from "./family.ts";
export { Rngs } from "./rngs.ts";
export {
  activation,
  activationNames,
  Conv1D,
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  Norm,
  Projection,
  RMSNorm,
} from "./layers.ts";
export {
  aFormat,
  loadForm,
  readEntries,
  type Format,
  type FormatWriter,
  type KeptWeight,
  type KeptWeights,
  type LoadTarget,
} from "./format.ts";
export { LossScaler, type LossScalerOptions, type LossScalerState } from "./loss-scaler.ts";
export { binaryCrossEntropy, crossEntropy, linearCrossEntropy, mse } from "./losses.ts";
export type { MaterializeOptions, WeightValues } from "./materialize.ts";
export { Module, nearest, type NameFilter } from "./module.ts";
export {
  AdamW,
  Optimizer,
  SGD,
  type AdamWOptions,
  type LearningRate,
  type ParameterGroup,
  type SGDOptions,
} from "./optimizer.ts";
export { constantSchedule, cosineSchedule, linearSchedule, type Schedule, type ScheduleOptions } from "./schedules.ts";
export { Weight, type Init, type WeightForm, type WeightFormat, type WeightKind } from "./weight.ts";
export { grad, valueAndGrad, type CrossEntropyOptions } from "@lowrank/tensor";
export { decayGroups, scaledGroups } from "./parameter-groups.ts";
