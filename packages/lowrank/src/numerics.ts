/**
 * @module
 * Checks of a device: all of `@lowrank/numerics`.
 */
export * from "@lowrank/numerics";
