/**
 * @module
 * Weights of four and eight bits: all of `@lowrank/quant`.
 */
export * from "@lowrank/quant";
