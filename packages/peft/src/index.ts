/**
 * @module
 * Adapters with the methods, module selection, scales and files of Python's PEFT.
 */
export { Adapter, type AdapterParts } from "./adapter.ts";
export { adapt, attach, type AdaptOptions, type OptionsFor } from "./attach.ts";
export { modelCard, type CardFacts, type CardSubject } from "./card.ts";
export { adapterConfigFile, parseAdapterConfig, type WrittenFacts } from "./config-file.ts";
export { familyRanks, type PartRanks } from "./family-ranks.ts";
export {
  loadAdapter,
  readAdapterConfig,
  saveAdapter,
  startsFromOriginal,
  type LoadAdapterOptions,
  type SaveAdapterOptions,
} from "./files.ts";
export { adapterFactors, type ModuleFactors } from "./factors.ts";
export { holdsAdapter, inspectAdapter, type AdapterFacts, type AdapterModule } from "./inspect.ts";
export { AdaptedEmbedding } from "./layers/adapted-embedding.ts";
export { AdaptedProjection } from "./layers/adapted-projection.ts";
export { Adapters, type AdaptedBase, type MergeOptions, type MergeReport } from "./layers/adapters.ts";
export { DoraUpdate } from "./layers/dora.ts";
export { Ia3Update, type Ia3UpdateOptions } from "./layers/ia3.ts";
export { LoraUpdate, type LoraOptions } from "./layers/lora.ts";
export { LowRankUpdate, type LowRankOptions } from "./layers/low-rank.ts";
export { TokenRows } from "./layers/token-rows.ts";
export { SvdUpdate, type SvdOptions } from "./layers/svd.ts";
export {
  Update,
  type LowRank,
  type NamedUpdateWeight,
  type Product,
  type Ranks,
  type UpdateBase,
} from "./layers/update.ts";
export { Projections, VeraUpdate, type VeraUpdateOptions } from "./layers/vera.ts";
export type { Layer, Target } from "./layers/walk.ts";
export { qr } from "./linear-algebra.ts";
export { adaLoraConfig, stepsOf, type AdaLoraConfig } from "./lora/adalora-config.ts";
export type { AdaLoraAdapterConfig, InitLora, LoftqConfig, LoraConfig } from "./lora/config.ts";
export { loraPlusGroups, loraPlusScales, type LoraPlusOptions } from "./lora/plus.ts";
export { adalora } from "./methods/adalora.ts";
export { COMMON_RULES, COMMON_SPELT, commonConfig, LAYER_RULES } from "./methods/common.ts";
export { dora } from "./methods/dora.ts";
export { ia3, type Ia3Config } from "./methods/ia3.ts";
export { lora } from "./methods/lora.ts";
export type {
  AdapterConfig,
  ChosenTarget,
  FileCommon,
  FileKeys,
  Method,
  OptionsOf,
  SavedRow,
  StartContext,
  Started,
  StartError,
  TargetRow,
  TaskType,
  TokenIndices,
} from "./methods/method.ts";
export { adapterConfig, adapterMethods, registerMethod, type AdapterOptions } from "./methods/registry.ts";
export { vera, type VeraConfig } from "./methods/vera.ts";
export { loadMlxAdapter } from "./mlx.ts";
export { saveMlxAdapter } from "./mlx-save.ts";
export type { Unmatched } from "./names.ts";
export { parameterReport, type ParameterReport } from "./report.ts";
export { SavedCopy } from "./saved-copy.ts";
export { lookUpPattern, resolveTargets } from "./select.ts";
export { activate, combine } from "./several.ts";
export * from "./adaptive/index.ts";
