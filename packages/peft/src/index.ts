/**
 * @module
 * Adapters with the module selection, scales and files of Python's PEFT.
 */
export { adapt, attach, LoraAdapter } from "./adapter.ts";
export { adapterConfigFile, loraConfig, parseAdapterConfig, type LoraConfig, type TaskType } from "./config.ts";
export { loadAdapter, readAdapterConfig, saveAdapter, type AdapterFiles } from "./files.ts";
export { LoraProjection, SavedCopy } from "./lora-layer.ts";
export { parameterReport, type ParameterReport } from "./report.ts";
export { lookUpPattern, resolveTargets, type TargetRow } from "./select.ts";
