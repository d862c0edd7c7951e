/**
 * Arithmetic of a plan's matrix products. A multiplication and an addition are two operations, so a product of [m, k] and [k, n] is 2·m·n·k of
 * them, as often as its batch and the plan repeat it.
 *
 * Counted: every product that the plan computes, those of adapters and those that are computed again in the backward pass among them, at the
 * padded shapes that it computes. Not counted: everything else (operands' decoding, epilogues, loops, reductions, softmax, the optimizer,
 * gathers and scatters), which is of the order of what is read, and no product.
 */
import type { Kernel } from "../ir/kernel.ts";
import type { Plan } from "./plan.ts";

export function productFlops({ kernels, steps }: Pick<Plan, "kernels" | "steps">): number {
  const each = kernels.map(flopsOf);
  return steps.reduce((sum, { kernel }) => sum + each[kernel]!, 0);
}

function flopsOf(kernel: Kernel): number {
  if (kernel.kind === "native") return kernel.flops ?? 0;
  if (kernel.kind !== "gemm") return 0;
  const { batch, m, n, products } = kernel;
  const inner = products.reduce((sum, { k }) => sum + k, 0);
  return 2 * batch.reduce((a, b) => a * b, 1) * m * n * inner;
}
