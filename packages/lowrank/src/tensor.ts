/**
 * @module
 * Tensors, gradients, `compile`, devices, safetensors: all of `@lowrank/tensor`.
 */
export * from "@lowrank/tensor";
