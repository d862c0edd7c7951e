/**
 * @module
 * All of `@lowrank/tensor/check`.
 */
export * from "@lowrank/tensor/check";
