/**
 * @module
 * Adapters and their files: all of `@lowrank/peft`.
 */
export * from "@lowrank/peft";
