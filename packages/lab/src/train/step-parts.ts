/** What a training step changes, as parts of a training's state: weights, moments, random keys, loss scale, what an allocator decided. */
import type { LossScaler, Optimizer, Rngs } from "@lowrank/nn";
import type { DTypeTrace } from "@lowrank/tensor";
import type { AdaptedBase } from "./adapt.ts";
import { parametersPart, valuesPart, type Json, type Stateful } from "./state.ts";

export interface StepStateOwner {
  readonly adapted: Pick<AdaptedBase, "trainable" | "allocator">;
  readonly optimizer: Optimizer;
  readonly rngs: Rngs;
  readonly scaler: LossScaler | undefined;
  readonly dtypes: () => DTypeTrace | undefined;
  readonly setDTypes: (trace: DTypeTrace | undefined) => void;
  /** Called when weights were put back: what was on its way belongs to no state. */
  readonly forget: () => void;
}

export function stepParts({
  adapted,
  optimizer,
  rngs,
  scaler,
  dtypes,
  setDTypes,
  forget,
}: StepStateOwner): Record<string, Stateful> {
  const { allocator, trainable } = adapted;
  const weights = new Map(trainable.map(({ name, weight }) => [name, weight]));
  return {
    weights: parametersPart(
      () => new Map([...weights].map(([name, weight]) => [name, weight.parameter])),
      () => null,
      forget,
    ),
    optimizer: parametersPart(
      () => optimizer.state(),
      () => ({ steps: optimizer.steps }),
      ({ steps }) => void (optimizer.steps = steps),
    ),
    // of the first step, whichever process made it
    dtypes: valuesPart(
      () => (dtypes() ?? null) as unknown as Json,
      (trace) => setDTypes((trace ?? undefined) as unknown as DTypeTrace | undefined),
    ),
    random: valuesPart(
      () => ({ step: rngs.step }),
      ({ step }) => void (rngs.step = step),
    ),
    ...(scaler === undefined
      ? {}
      : {
          scaler: valuesPart(
            () => ({ ...scaler.state, skipped: scaler.skipped }),
            ({ skipped, ...state }) => {
              scaler.restore(state);
              scaler.skipped = skipped;
            },
          ),
        }),
    ...(allocator === undefined
      ? {}
      : {
          allocator: parametersPart(
            () => allocator.state(),
            () => ({ steps: allocator.steps, choices: allocator.choices }),
            ({ steps, choices }) => {
              allocator.steps = steps;
              allocator.choices = choices;
            },
          ),
        }),
  };
}
