/** Losses, as functions. The definitions are ops of @lowrank/tensor. */
import { ops, type CrossEntropyOptions, type Reduction, type Tensor } from "@lowrank/tensor";

/** Logits [n, classes], labels [n]. */
export function crossEntropy(logits: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
  return ops.crossEntropy(logits, labels, options);
}

/** a and b of one shape. */
export function mse(a: Tensor, b: Tensor, reduction?: Reduction): Tensor {
  return ops.mse(a, b, reduction);
}

/** Logits and targets in [0, 1] of one shape; torch's `binary_cross_entropy_with_logits`. */
export function binaryCrossEntropy(logits: Tensor, targets: Tensor, reduction?: Reduction): Tensor {
  return ops.binaryCrossEntropy(logits, targets, reduction);
}
