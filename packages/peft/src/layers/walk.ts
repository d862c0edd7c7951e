/** Looking through a model at its adapted layers and at what adapters can sit on. */
import { Embedding, Projection, type Module, type Weight } from "@lowrank/nn";
import { SavedCopy } from "../saved-copy.ts";
import { AdaptedEmbedding } from "./adapted-embedding.ts";
import { AdaptedProjection } from "./adapted-projection.ts";
import { TiedWords } from "./tied-words.ts";

/** What adapters can sit on: projections, and embedding tables where they are named. */
export type Target = Projection | Embedding;

/** A layer with adapters on it. */
export type Layer = AdaptedProjection | AdaptedEmbedding;

export function isLayer(module: Module): module is Layer {
  return module instanceof AdaptedProjection || module instanceof AdaptedEmbedding;
}

/** Modules that `wanted` takes, with their paths, as they stand in the tree; adapted layers and copies are not looked into. */
export function placesOf<M extends Module>(module: Module, wanted: (module: Module) => module is M): [string, M][];
export function placesOf(module: Module, wanted: (module: Module) => boolean): [string, Module][];
export function placesOf(module: Module, wanted: (module: Module) => boolean, prefix = ""): [string, Module][] {
  const out: [string, Module][] = [];
  for (const [name, child] of module.children()) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    if (wanted(child)) out.push([path, child]);
    if (!isLayer(child) && !(child instanceof SavedCopy) && !(child instanceof TiedWords))
      out.push(...(placesOf as (m: Module, w: typeof wanted, p: string) => [string, Module][])(child, wanted, path));
  }
  return out;
}

export function layersOf(model: Module): [string, Layer][] {
  return placesOf(model, isLayer);
}
export function copiesOf(model: Module): [string, SavedCopy][] {
  return placesOf(model, (m) => m instanceof SavedCopy);
}

/** What adapters can sit on, with adapters and copies taken off. */
export function targetsOf(model: Module): [string, Target][] {
  return placesOf(
    model,
    (m) => m instanceof Projection || m instanceof Embedding || isLayer(m) || m instanceof SavedCopy,
  ).flatMap(([path, place]): [string, Target][] => {
    const base =
      isLayer(place) || place instanceof TiedWords ? place.base : place instanceof SavedCopy ? place.original : place;
    return base instanceof Projection || base instanceof Embedding ? [[path, base]] : [];
  });
}

/** Another module that reads the same weight, as a tied output layer reads the word table. */
export function sharerOf(model: Module, path: string, weight: Weight): string | undefined {
  return targetsOf(model).find(([other, target]) => other !== path && target.weight === weight)?.[0];
}

/** Weights that adapters brought: those of updates and of copies. */
export function adapterWeights(model: Module): Set<Weight> {
  return new Set([
    ...layersOf(model).flatMap(([, { updates }]) =>
      [...updates.values()].flatMap((update) => update.weights.map(({ weight }) => weight)),
    ),
    ...copiesOf(model).flatMap(([, { copies }]) => [...copies.values()].flatMap((copy) => copy.weights())),
  ]);
}

/**
 * Biases of the base by their names in an adapter file. A saved module's original is not among them: its copy trains.
 * @param adapted paths of layers that are adapted, or are to be
 * @param saved paths of modules that are saved, or are to be
 */
export function baseBiases(model: Module, adapted: Iterable<string>, saved: Iterable<string>): Map<string, Weight> {
  const layers = new Set([...layersOf(model).map(([path]) => path), ...adapted]);
  const copied = [...copiesOf(model).map(([path]) => path), ...saved];
  const out = new Map<string, Weight>();
  const added = adapterWeights(model);
  for (const [name, weight] of model.namedWeights()) {
    const owner = name.slice(0, Math.max(0, name.lastIndexOf(".")));
    if (
      !/(^|\.)bias$/.test(name) ||
      added.has(weight) ||
      copied.some((path) => owner === path || owner.startsWith(`${path}.`))
    )
      continue;
    out.set(layers.has(owner) ? `${owner}.base_layer.bias` : name, weight);
  }
  return out;
}
