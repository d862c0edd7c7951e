/** By the size of each contribution (Mao et al. 2024). Deciding by size needs no orthonormal factors. */
import { magnitudeBudget } from "@lowrank/peft";
import type { Allocator } from "../records/allocator.ts";

export const magnitude: Allocator = {
  name: "magnitude",
  usesGradients: false,
  regularizes: () => false,
  make: (layers, { budget }) => magnitudeBudget(layers, budget),
};
