/** The layers of a base before anything is put on it: what counts and targets are told from. */
import type { PretrainedModel } from "@lowrank/models";
import { Projection, type AdapterTargets } from "@lowrank/nn";
import { headOf } from "./base.ts";
import type { ModelKind } from "./kind.ts";

export interface LinearShape {
  readonly path: string;
  readonly in: number;
  readonly out: number;
  /** Values of weight and bias. */
  readonly values: number;
}

export interface BaseShape {
  readonly architecture: string;
  /** Linear modules, in order. */
  readonly linears: readonly LinearShape[];
  /** Values of all weights, each counted once. */
  readonly total: number;
  /** Modules of the task's head. */
  readonly head: readonly string[];
  /** Modules that score the words of the vocabulary. */
  readonly outputs: readonly string[];
  /** What adapter methods take where nothing is said. */
  readonly targets: AdapterTargets;
}

/** @param model as it was loaded or drawn, or its shape only */
export function shapeOf(model: PretrainedModel, kind: ModelKind): BaseShape {
  const linears = [...model.namedModules()].flatMap(([path, module]): LinearShape[] =>
    module instanceof Projection
      ? [
          {
            path,
            in: module.inFeatures,
            out: module.outFeatures,
            values: module.weight.size + (module.bias?.size ?? 0),
          },
        ]
      : [],
  );
  const weights = new Set([...model.namedWeights()].map(([, weight]) => weight));
  return {
    architecture: model.architecture,
    linears,
    total: [...weights].reduce((sum, weight) => sum + weight.size, 0),
    head: headOf(model, kind),
    outputs: model.family.outputEmbeddings,
    targets: model.family.targets,
  };
}
