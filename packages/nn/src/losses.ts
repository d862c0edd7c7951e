/** Losses, as functions. The definitions are ops of @lowrank/tensor. */
import { ops, type CrossEntropyOptions, type Reduction, type Tensor } from "@lowrank/tensor";
import type { Weight } from "./weight.ts";

/** Logits [n, classes], labels [n]. */
export function crossEntropy(logits: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
  return ops.crossEntropy(logits, labels, options);
}

/**
 * `crossEntropy` of what a linear layer makes of x [n, in], with labels [n]. Its outputs [n, out] are not stored where they are many (2^24,
 * 64 MB): loss and gradients then come block by block of outputs. Weight [out, in], in any form; bias [out].
 */
export function linearCrossEntropy(
  { weight, bias }: { readonly weight: Weight; readonly bias?: Weight | undefined },
  x: Tensor,
  labels: Tensor,
  options?: CrossEntropyOptions,
): Tensor {
  return ops.linearCrossEntropy(x, weight.value, labels, {
    ...options,
    ...(bias === undefined ? {} : { bias: bias.value }),
  });
}

/** a and b of one shape. */
export function mse(a: Tensor, b: Tensor, reduction?: Reduction): Tensor {
  return ops.mse(a, b, reduction);
}

/** Logits and targets in [0, 1] of one shape; torch's `binary_cross_entropy_with_logits`. */
export function binaryCrossEntropy(logits: Tensor, targets: Tensor, reduction?: Reduction): Tensor {
  return ops.binaryCrossEntropy(logits, targets, reduction);
}
