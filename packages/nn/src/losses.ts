/** Losses, as functions. The definitions are ops of @lowrank/tensor. */
import { ops, type CrossEntropyOptions, type Reduction, type Tensor } from "@lowrank/tensor";

/** Logits [n, classes], labels [n]. */
export function crossEntropy(logits: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
  return ops.crossEntropy(logits, labels, options);
}

export function mse(a: Tensor, b: Tensor, reduction?: Reduction): Tensor {
  return ops.mse(a, b, reduction);
}
