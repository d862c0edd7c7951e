/** Gradients of the loss in the base's own weights, before anything trains. */
import { grad, LowrankError, ops, type Parameter, type Tensor } from "@lowrank/tensor";
import type { Batch } from "../data/examples.ts";
import type { Task } from "../records/task.ts";
import type { Base, NamedWeight } from "./base.ts";

/**
 * What `read` makes of each weight's value and the mean over batches of the gradient of their mean loss in it. Dropout is off, and products are at full
 * width: gradients of halves would need a loss scale.
 * @param weights that are numbers, in any float
 */
export async function readGradients<T>(
  base: Base,
  weights: readonly NamedWeight[],
  batches: readonly Batch[],
  loss: (inputs: Readonly<Record<string, Tensor>>) => Tensor,
  read: (value: Tensor, gradient: Tensor) => Promise<T>,
): Promise<T[]> {
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
    const told: T[] = [];
    for (const [i, { weight }] of weights.entries())
      told.push(await read(ops.cast(weight.value, wide), ops.div(sums[i]!.value, batches.length)));
    return told;
  } finally {
    base.precision = precision;
    for (const sum of sums) sum.dispose();
  }
}

/** Of the weights of these linear modules. @param who asks, for the message. @throws LowrankError (ConfigError) for a module that is quantized */
export function moduleGradients<T>(
  who: string,
  base: Base,
  modules: readonly string[],
  batches: readonly Batch[],
  task: Pick<Task, "loss">,
  read: (value: Tensor, gradient: Tensor) => Promise<T>,
): Promise<T[]> {
  const paths = new Map(base.linears().map(({ path, weight }) => [path, weight]));
  const weights = modules.map((name) => ({ name, weight: paths.get(name)! }));
  const coded = weights.find(({ weight }) => weight.form !== undefined);
  if (coded !== undefined)
    throw new LowrankError(
      "ConfigError",
      `${who} is gora, which differentiates the loss in the weights, and ${coded.name} is quantized; it needs "storage" f32, f16 or bf16`,
    );
  return readGradients(base, weights, batches, (inputs) => task.loss(base, inputs, "mean"), read);
}

/** GoRA's importance of a weight: the mean of |W ⊙ G|. */
export function importance(value: Tensor, gradient: Tensor): Promise<number> {
  return ops.mean(ops.abs(ops.mul(value, gradient))).item();
}
