/**
 * By the gradients of the weights that are adapted (GoRA, He et al. 2025), before training: the loss of drawn rows of the training set is differentiated in them,
 * and ranks go where weight times gradient is large. Of GoRA this is the ranks; A and B begin as `init` says.
 */
import { goraRanks } from "@lowrank/peft";
import { LowrankError, ops } from "@lowrank/tensor";
import { calibrationBatches } from "../bases/calibration.ts";
import { gradientStatistics } from "../bases/gradients.ts";
import type { Allocator } from "../records/allocator.ts";

export const gora: Allocator = {
  name: "gora",
  async share(modules, { base, data, seed, task }) {
    const paths = new Map(base.linears().map(({ path, weight }) => [path, weight]));
    const weights = modules.map(({ module }) => ({ name: module, weight: paths.get(module)! }));
    const coded = weights.find(({ weight }) => weight.form !== undefined);
    if (coded !== undefined)
      throw new LowrankError(
        "ConfigError",
        `"allocator" is gora, which differentiates the loss in the weights, and ${coded.name} is quantized; it needs "storage" f32, f16 or bf16`,
      );
    const importances = await gradientStatistics(
      base,
      weights,
      calibrationBatches(data, seed, "allocator/gora"),
      (inputs) => task.loss(base, inputs, "mean"),
      (value, gradient) => ops.mean(ops.abs(ops.mul(value, gradient))),
    );
    return goraRanks(modules.map((row, i) => ({ ...row, name: row.module, importance: importances[i]! })));
  },
};
