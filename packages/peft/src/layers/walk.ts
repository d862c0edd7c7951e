/** Looking through a model at its adapted layers and at what adapters can sit on. */
import { Embedding, Projection, type Module, type Weight } from "@lowrank/nn";
import { SavedCopy } from "../saved-copy.ts";
import { LoraEmbedding } from "./embedding.ts";
import { LoraProjection } from "./projection.ts";

/** What adapters can sit on: projections, and embedding tables where they are named. */
export type Target = Projection | Embedding;

/** A layer with adapters on it. */
export type Layer = LoraProjection | LoraEmbedding;

export function isLayer(module: Module): module is Layer {
  return module instanceof LoraProjection || module instanceof LoraEmbedding;
}

/** Projections and embeddings with their paths, as they stand in the tree: adapted ones are not looked into. */
export function placesOf(module: Module, prefix = ""): [string, Target | Layer][] {
  const out: [string, Target | Layer][] = [];
  for (const [name, child] of module.children()) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    if (child instanceof Projection || child instanceof Embedding || isLayer(child)) out.push([path, child]);
    else out.push(...placesOf(child, path));
  }
  return out;
}

/** The same with adapters taken off. */
export function targetsOf(model: Module): [string, Target][] {
  return placesOf(model).map(([path, place]) => [path, isLayer(place) ? place.base : place]);
}

/** Another module that reads the same weight, as a tied output layer reads the word table. */
export function sharerOf(model: Module, path: string, weight: Weight): string | undefined {
  return placesOf(model).find(([other, place]) => other !== path && place.weight === weight)?.[0];
}

/** Biases of the base by their names in an adapter file. A saved module's original is not among them: its copy trains. */
export function baseBiases(model: Module): Map<string, Weight> {
  const places = placesOf(model);
  const adapted = new Set(places.flatMap(([path, place]) => (isLayer(place) ? [path] : [])));
  const saved = places.flatMap(([path, place]) => (place instanceof SavedCopy ? [path] : []));
  const out = new Map<string, Weight>();
  for (const [name, weight] of model.namedWeights()) {
    const owner = name.slice(0, Math.max(0, name.lastIndexOf(".")));
    if (!/(^|\.)bias$/.test(name) || /(^|\.)lora_/.test(owner) || saved.some((path) => owner === path || owner.startsWith(`${path}.`))) continue;
    out.set(adapted.has(owner) ? `${owner}.base_layer.bias` : name, weight);
  }
  return out;
}
