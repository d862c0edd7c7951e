/**
 * @module
 * Adapters with the methods, module selection, scales and files of Python's PEFT.
 */
export { LoraAdapter, type AdapterParts } from "./adapter.ts";
export { adaLoraConfig, stepsOf, type AdaLoraConfig } from "./adalora-config.ts";
export { adapt, attach, type AdaptOptions } from "./attach.ts";
export { adapterConfigFile, parseAdapterConfig, type WrittenFacts } from "./config-file.ts";
export { loraConfig, type InitLora, type LoraConfig, type TaskType } from "./config.ts";
export { familyRanks, type PartRanks } from "./family-ranks.ts";
export {
  loadAdapter,
  readAdapterConfig,
  saveAdapter,
  type LoadAdapterOptions,
  type SaveAdapterOptions,
} from "./files.ts";
export { DoraUpdate } from "./layers/dora.ts";
export { LoraUpdate, type LoraOptions } from "./layers/lora.ts";
export { Adapters, type AdaptedBase, type MergeOptions, type MergeReport } from "./layers/adapters.ts";
export { LoraEmbedding } from "./layers/embedding.ts";
export { LoraProjection } from "./layers/projection.ts";
export { SvdUpdate, type SvdOptions } from "./layers/svd.ts";
export type { Layer, Target } from "./layers/walk.ts";
export { Update, type NamedUpdateWeight, type UpdateBase, type UpdateOptions } from "./layers/update.ts";
export { qr } from "./linear-algebra.ts";
export { loadMlxAdapter } from "./mlx.ts";
export { parameterReport, type ParameterReport } from "./report.ts";
export { SavedCopy } from "./saved-copy.ts";
export { lookUpPattern, resolveTargets, type TargetRow } from "./select.ts";
export { activate, combine } from "./several.ts";
export * from "./adaptive/index.ts";
