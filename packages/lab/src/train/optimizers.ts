/** From the words of a study to an optimizer over weights that train. */
import { AdamW, decayGroups, scaledGroups, SGD, type Optimizer, type ParameterGroup, type Weight } from "@lowrank/nn";
import type { TrainOptions } from "../config/study.ts";

/** What an optimizer is told. */
export type OptimizerWords = Pick<TrainOptions, "weightDecay" | "betas" | "eps" | "optimizer" | "momentum" | "decay">;

/**
 * @param lr learning rate after that many finished steps
 * @param lrScales what that of a weight is multiplied by, where it is another
 */
export function optimizerOf(
  trainable: readonly (readonly [string, Weight])[],
  { optimizer = "adamw", momentum, decay = "matrices", weightDecay, betas, eps }: OptimizerWords,
  lr: (finished: number) => number,
  lrScales: ReadonlyMap<Weight, number> = new Map(),
): Optimizer {
  const decaying: ParameterGroup[] =
    decay === "all"
      ? [{ weights: trainable.map(([, weight]) => weight), weightDecay }]
      : decayGroups(trainable, weightDecay);
  const groups = scaledGroups(decaying, lrScales);
  return optimizer === "adamw"
    ? new AdamW(groups, { lr, betas, eps })
    : new SGD(groups, { lr, ...(momentum === undefined ? {} : { momentum }) });
}
