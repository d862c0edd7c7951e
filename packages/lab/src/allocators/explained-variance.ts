/**
 * By the variance of what goes into the modules (EVA, Paischer et al. 2024): rows of the training set are looked at before the first step, A of each module begins
 * as the leading directions of its inputs, and those of the largest shares of variance stay. Schedule and regularizer are the config's, as for the others;
 * EVA itself decides at once (tinit 0, deltaT 1, tfinal one less than the steps), and before training: `init: eva` of LoRA.
 */
import { explainedVariance, inputDirections } from "@lowrank/peft";
import { calibrationBatches, look } from "../bases/calibration.ts";
import type { Allocator } from "../records/allocator.ts";

export const explained: Allocator = {
  name: "explained-variance",
  usesGradients: false,
  regularizes: ({ orthRegWeight }) => orthRegWeight > 0,
  async make(layers, { budget, options: { orthRegWeight }, base, data, seed }) {
    base.model.eval();
    const inputs = await inputDirections(base.model, layers, base.device, {
      batches: calibrationBatches(data, seed, "allocator/explained-variance"),
      forward: (batch) => look(base, batch),
    });
    return explainedVariance(layers, inputs, { ...budget, orthRegWeight });
  },
};
