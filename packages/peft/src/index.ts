/**
 * @module
 * Adapters with the methods, module selection, scales and files of Python's PEFT.
 */
export { activate, adapt, attach, combine, LoraAdapter } from "./adapter.ts";
export { adaLoraConfig, adapterConfigFile, loraConfig, parseAdapterConfig, stepsOf, type AdaLoraConfig, type InitLora, type LoraConfig, type TaskType } from "./config.ts";
export { familyRanks, type PartRanks } from "./family-ranks.ts";
export { loadAdapter, readAdapterConfig, saveAdapter, type AdapterFiles } from "./files.ts";
export { DoraUpdate } from "./layers/dora.ts";
export { LoraUpdate, type LoraOptions } from "./layers/lora.ts";
export { LoraEmbedding, LoraProjection, type MergeOptions, type MergeReport } from "./layers/projection.ts";
export { SvdUpdate, type SvdOptions } from "./layers/svd.ts";
export { Update, type NamedUpdateWeight, type UpdateBase, type UpdateOptions } from "./layers/update.ts";
export { qr, svd } from "./linear-algebra.ts";
export { loadMlxAdapter } from "./mlx.ts";
export { parameterReport, type ParameterReport } from "./report.ts";
export { SavedCopy } from "./saved-copy.ts";
export { lookUpPattern, resolveTargets, type Target, type TargetRow } from "./select.ts";
