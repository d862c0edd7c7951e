/**
 * @module
 * Modules, layers, optimizers, schedules: all of `@lowrank/nn`.
 */
export * from "@lowrank/nn";
