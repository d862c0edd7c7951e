/**
 * @module
 * All of `@lowrank/tensor/backend`.
 */
export * from "@lowrank/tensor/backend";
