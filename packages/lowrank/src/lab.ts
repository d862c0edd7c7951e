/**
 * @module
 * Tasks, studies, runs; for Node: all of `@lowrank/lab`.
 */
export * from "@lowrank/lab";
