/** Clipping by global norm, on the device, without waiting for the number. */
import { LowrankError, ops, quote, type Tensor } from "@lowrank/tensor";

/**
 * Scales all gradients by min(1, maxNorm / (‖g‖₂ + 1e-6)), torch's formula.
 * @returns the scaled gradients and ‖g‖₂ before scaling, a scalar
 */
export function clipGradNorm(grads: readonly Tensor[], maxNorm: number): { grads: Tensor[]; norm: Tensor } {
  if (!(maxNorm > 0))
    throw new LowrankError("ConfigError", `clipGradNorm: maxNorm must be a number above 0, got ${quote(maxNorm)}`);
  const norm = gradNorm(grads);
  const factor = ops.minimum(ops.div(maxNorm, ops.add(norm, 1e-6)), 1);
  return { grads: grads.map((g) => ops.mul(g, factor)), norm };
}

/** ‖g‖₂ over all tensors together, a scalar. */
export function gradNorm(grads: readonly Tensor[]): Tensor {
  if (grads.length === 0)
    throw new LowrankError("ShapeError", "gradNorm: there are no gradients; is every weight frozen?");
  return ops.sqrt(grads.map((g) => ops.sum(ops.square(g))).reduce((a, b) => ops.add(a, b)));
}
