/**
 * @module
 * All of `@lowrank/models/hub`.
 */
export * from "@lowrank/models/hub";
