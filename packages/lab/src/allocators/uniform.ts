/**
 * A control: AdaLoRA that ends with the same rank in every module. Inside a module the best triplets by AdaLoRA's own importance stay, on its schedule and
 * with its regularizer, so that what differs is how ranks are spread among modules.
 */
import { givenRanks } from "@lowrank/peft";
import type { Allocator } from "../records/allocator.ts";

export const uniform: Allocator = {
  name: "uniform",
  regularizes: ({ orthRegWeight }) => orthRegWeight > 0,
  make: (layers, { budget, options: { beta1, beta2, orthRegWeight } }) =>
    givenRanks(
      layers,
      {
        kind: "uniform",
        reference: "none: the same rank in every module",
        ranks: new Map(layers.map(({ name }) => [name, budget.targetRank!])),
      },
      { ...budget, beta1, beta2, orthRegWeight },
    ),
};
