/**
 * Models like a deep one with few layers. A step's intermediates grow by the same bytes with every layer from the second of a kind on, so that
 * what a deep one takes is counted up from two of these.
 */
import type { ModelClass, PretrainedModel } from "@lowrank/models";

/** Kinds of layers, in a model that has several: with a window and without. */
export function kindsOf({ config }: PretrainedModel): string[] {
  return [...new Set((config as { readonly layerTypes?: readonly string[] }).layerTypes)];
}

/** Another model like this one, with fewer layers: one of each kind that it has, and more of the first. */
export function shallow(model: PretrainedModel, layers: number): PretrainedModel {
  const { config } = model;
  const as = model.constructor as unknown as ModelClass;
  if (layers === config.numHiddenLayers) return new as(config as never);
  const kinds = kindsOf(model);
  const layerTypes = Array.from({ length: layers }, (_, i) => kinds[i] ?? kinds[0]);
  return new as({ ...config, numHiddenLayers: layers, ...(kinds.length === 0 ? {} : { layerTypes }) } as never);
}
