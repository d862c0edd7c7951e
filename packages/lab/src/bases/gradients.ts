/** Gradients of the loss in the base's own weights, before anything trains. */
import { grad, ops, type Parameter, type Tensor } from "@lowrank/tensor";
import type { Batch } from "../data/examples.ts";
import type { Base, NamedWeight } from "./base.ts";

/** What is told of a weight, of its value and its mean gradient. */
export type Statistic = (value: Tensor, gradient: Tensor) => Tensor;

/**
 * A scalar of each weight and the mean over batches of the gradient of their mean loss. Dropout is off, and products are at full width: gradients
 * of halves would need a loss scale.
 * @param weights that are numbers, in any float
 */
export async function gradientStatistics(
  base: Base,
  weights: readonly NamedWeight[],
  batches: readonly Batch[],
  loss: (inputs: Readonly<Record<string, Tensor>>) => Tensor,
  statistic: Statistic,
): Promise<number[]> {
  const { device, precision } = base;
  const wide = device.defaultFloat;
  const parameters = weights.map(({ weight }) => weight.parameter);
  const sums: Parameter[] = weights.map(({ weight }) =>
    device.parameter(new Float64Array(weight.size), weight.shape, wide),
  );
  base.model.eval();
  base.precision = undefined;
  try {
    for (const { inputs } of batches) {
      const tensors = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, shape, dtype }]) => [name, device.tensor(data, shape, dtype)]),
      );
      const gradients = grad(loss(tensors), parameters);
      for (const [i, sum] of sums.entries()) sum.assign(ops.add(sum.value, ops.cast(gradients[i]!, wide)));
      await device.realize();
    }
    const told: number[] = [];
    for (const [i, { weight }] of weights.entries())
      told.push(await statistic(ops.cast(weight.value, wide), ops.div(sums[i]!.value, batches.length)).item());
    return told;
  } finally {
    base.precision = precision;
    for (const sum of sums) sum.dispose();
  }
}
