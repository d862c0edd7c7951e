/**
 * By the gradients of the weights that are adapted (GoRA, He et al. 2025), before training: the loss of drawn rows of the training set is differentiated in them,
 * and ranks go where weight times gradient is large. Of GoRA this is the ranks alone; `init: gora` of LoRA is all of it.
 */
import { goraRanks } from "@lowrank/peft";
import { calibrationBatches } from "../bases/calibration.ts";
import { importance, moduleGradients } from "../bases/gradients.ts";
import type { Allocator } from "../records/allocator.ts";

export const gora: Allocator = {
  name: "gora",
  async share(modules, { base, data, seed, task }) {
    const found = await moduleGradients(
      `"allocator"`,
      base,
      modules.map(({ module }) => module),
      calibrationBatches(data, seed, "gora"),
      task,
      importance,
    );
    return goraRanks(modules.map((row, i) => ({ ...row, name: row.module, importance: found[i]! })));
  },
};
