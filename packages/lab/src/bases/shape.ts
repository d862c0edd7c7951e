/** The layers of a base before anything is put on it: what counts and targets are told from. */
import type { PretrainedModel } from "@lowrank/models";
import { Embedding, Projection, type AdapterTargets, type LayerParts } from "@lowrank/nn";
import { headOf } from "./base.ts";
import type { ModelKind } from "./kind.ts";

export interface LinearShape {
  readonly path: string;
  readonly in: number;
  readonly out: number;
  /** The table that its weight is, where it has none of its own. */
  readonly table?: string;
  /** Values of weight and bias. */
  readonly values: number;
}

/** A table that ids look up. */
export interface TableShape {
  readonly path: string;
  readonly words: number;
  readonly width: number;
}

export interface BaseShape {
  readonly architecture: string;
  /** Linear modules, in order. */
  readonly linears: readonly LinearShape[];
  /** Tables, in order. */
  readonly tables: readonly TableShape[];
  /** The ends of the paths of those that token ids look up. */
  readonly inputs: readonly string[];
  /** Values of all weights, each counted once. */
  readonly total: number;
  /** Modules of the task's head. */
  readonly head: readonly string[];
  /** Modules that score the words of the vocabulary. */
  readonly outputs: readonly string[];
  /** Expressions of the halves of its layers: for the ends of paths. */
  readonly parts: LayerParts;
  /** What adapter methods take where nothing is said. */
  readonly targets: AdapterTargets;
}

/** @param model as it was loaded or drawn, or its shape only */
export function shapeOf(model: PretrainedModel, kind: ModelKind): BaseShape {
  const tables = [...model.namedModules()].flatMap(([path, module]): TableShape[] =>
    module instanceof Embedding ? [{ path, words: module.weight.shape[0]!, width: module.weight.shape[1]! }] : [],
  );
  const tableOf = new Map(tables.map(({ path }) => [(model.getModule(path) as Embedding).weight, path]));
  const linears = [...model.namedModules()].flatMap(([path, module]): LinearShape[] =>
    module instanceof Projection
      ? [
          {
            path,
            in: module.inFeatures,
            out: module.outFeatures,
            ...(tableOf.has(module.weight) ? { table: tableOf.get(module.weight)! } : {}),
            values: module.weight.size + (module.bias?.size ?? 0),
          },
        ]
      : [],
  );
  const weights = new Set([...model.namedWeights()].map(([, weight]) => weight));
  return {
    architecture: model.architecture,
    linears,
    tables,
    inputs: model.family.inputEmbeddings,
    total: [...weights].reduce((sum, weight) => sum + weight.size, 0),
    head: headOf(model, kind),
    outputs: model.family.outputEmbeddings,
    parts: model.family.parts,
    targets: model.family.targets,
  };
}
