/**
 * @module
 * Transformers, checkpoints, tokenizers: all of `@lowrank/models`.
 */
export * from "@lowrank/models";
