/**
 * @module
 * All of `@lowrank/tensor/records`.
 */
export * from "@lowrank/tensor/records";
