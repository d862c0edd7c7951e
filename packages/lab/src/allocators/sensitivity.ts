/** AdaLoRA's own (Zhang et al. 2023): sensitivity times uncertainty, with the orthogonality term in the objective. */
import { adaLora } from "@lowrank/peft";
import type { Allocator } from "../records/allocator.ts";

export const sensitivity: Allocator = {
  name: "sensitivity",
  regularizes: ({ orthRegWeight }) => orthRegWeight > 0,
  make: (layers, { budget, options: { beta1, beta2, orthRegWeight } }) =>
    adaLora(layers, { ...budget, beta1, beta2, orthRegWeight }),
};
