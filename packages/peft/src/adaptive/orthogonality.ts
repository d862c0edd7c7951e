/** AdaLoRA's regularizer (Zhang et al. 2023, eq. 4, with PEFT's Frobenius norm unsquared): how far A's rows and B's columns are from orthonormal. */
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import type { Triplets } from "./method.ts";

/**
 * Mean of ‖A·Aᵀ − I‖_F and ‖Bᵀ·B − I‖_F over all modules, a scalar. Its gradient at an orthonormal matrix is 0, a subgradient.
 * Modules without ranks count with norm 0.
 */
export function orthogonality(layers: readonly Triplets[]): Tensor {
  const norms = layers.flatMap(({ a, b }) =>
    a.shape[0] === 0
      ? []
      : [distance(ops.matmul(a.value, ops.transpose(a.value))), distance(ops.matmul(ops.transpose(b.value), b.value))],
  );
  return ops.div(
    norms.reduce((x, y) => ops.add(x, y)),
    2 * layers.length,
  );
}

/** The term of the objective. @param weight as `checkedWeight` lets through */
export function orthogonalityTerm(layers: readonly Triplets[], weight: number): Tensor {
  return ops.mul(orthogonality(layers), weight);
}

/** @param who is asked for it, for the message. @throws LowrankError (ConfigError) for a weight below 0 */
export function checkedWeight(who: string, weight: number): number {
  if (weight >= 0) return weight;
  throw new LowrankError("ConfigError", `${who}: orthRegWeight must be 0 or more, got ${weight}`);
}

/** ‖M − I‖_F */
function distance(product: Tensor): Tensor {
  const one = ops.cast(ops.eq(ops.iota(product, 0), ops.iota(product, 1)), product.dtype);
  const squares = ops.sum(ops.square(ops.sub(product, one)));
  const positive = ops.gt(squares, 0);
  // √ has no slope at 0: there the branch that is not taken must stay finite too
  return ops.where(positive, ops.sqrt(ops.where(positive, squares, 1)), 0);
}
