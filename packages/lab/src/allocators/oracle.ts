/**
 * The ranks that are there to be found, of a task that knows them: what an allocator can do at best. While training they are reached by AdaLoRA's way, with
 * its schedule and regularizer; before training they are LoRA's ranks.
 */
import { givenRanks } from "@lowrank/peft";
import { LowrankError } from "@lowrank/tensor";
import type { Allocator } from "../records/allocator.ts";
import type { TaskData } from "../records/task.ts";

export const oracle: Allocator = {
  name: "oracle",
  regularizes: ({ orthRegWeight }) => orthRegWeight > 0,
  make: (layers, { budget, options: { beta1, beta2, orthRegWeight }, data }) =>
    givenRanks(
      layers,
      {
        kind: "oracle",
        reference: "none: the ranks that the task planted",
        ranks: truthOf(
          layers.map(({ name }) => name),
          data,
        ),
      },
      { ...budget, beta1, beta2, orthRegWeight },
    ),
  share: (modules, { data }) =>
    truthOf(
      modules.map(({ module }) => module),
      data,
    ),
};

function truthOf(modules: readonly string[], data: TaskData): ReadonlyMap<string, number> {
  const truth = data.truth?.(modules);
  if (truth === undefined)
    throw new LowrankError(
      "ConfigError",
      `"allocator" is oracle, and this task does not know the ranks that are there to be found, as planted-rank does; choose another allocator`,
    );
  return truth;
}
