/**
 * @module
 * All of `@lowrank/models/parts`.
 */
export * from "@lowrank/models/parts";
