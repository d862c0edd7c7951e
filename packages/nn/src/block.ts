/** A repeated part of a deep model, the unit in which activations are kept or computed again. */
import { checkpoint, LowrankError, structureChanged, type Tensor } from "@lowrank/tensor";
import { Module } from "./module.ts";

export abstract class Block extends Module {
  #checkpointed = false;

  /** Whether the backward pass computes this block's activations again instead of keeping them. */
  get gradientCheckpointing(): boolean {
    return this.#checkpointed;
  }

  set gradientCheckpointing(on: boolean) {
    if (on !== this.#checkpointed) structureChanged();
    this.#checkpointed = on;
  }

  /** Runs `body`, a function of `x` and of weights only, as a checkpoint where that is asked for. Masks drawn again are the same. */
  run(x: Tensor, body: (x: Tensor) => Tensor): Tensor {
    if (!this.gradientCheckpointing || !this.training) return body(x);
    const { rngs } = this;
    const site = rngs?.site ?? 0;
    let first = true;
    return checkpoint(
      (input) => {
        if (first || rngs === undefined) {
          first = false;
          return body(input);
        }
        return rngs.replay(site, input, () => body(input));
      },
      [x],
    );
  }
}

/**
 * Turns recomputation on or off in every block of `model`: the backward pass then needs the memory of one block's activations
 * instead of all of them, for one more forward pass.
 */
export function gradientCheckpointing(model: Module, on = true): void {
  const blocks = [...model.namedModules()].flatMap(([, m]) => (m instanceof Block ? [m] : []));
  if (blocks.length === 0)
    throw new LowrankError("ConfigError", "gradientCheckpointing: the model has no blocks to recompute");
  for (const block of blocks) block.gradientCheckpointing = on;
}
