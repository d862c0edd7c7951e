/** Which weights an optimizer decays, and which it moves faster. */
import type { ParameterGroup } from "./optimizer.ts";
import type { Weight } from "./weight.ts";

/**
 * Two groups as transformers' Trainer makes them: everything decays but biases and the weights of norms, which are told by the module
 * that holds them.
 * @param named `model.namedWeights()`, or some of them; those that do not train are left out
 */
export function decayGroups(named: Iterable<readonly [string, Weight]>, weightDecay: number): ParameterGroup[] {
  const decay: Weight[] = [];
  const rest: Weight[] = [];
  for (const [name, weight] of named) {
    if (!weight.trainable) continue;
    // an adapter's bias stands in no module of ours
    (weight.kind !== undefined || /(^|\.)bias$/.test(name) ? rest : decay).push(weight);
  }
  return [
    { weights: decay, weightDecay },
    { weights: rest, weightDecay: 0 },
  ].filter((g) => g.weights.length > 0);
}

/** The same groups, each taken apart by what `scales` says of its weights; 1 for those that it does not name. */
export function scaledGroups(groups: readonly ParameterGroup[], scales: ReadonlyMap<Weight, number>): ParameterGroup[] {
  return groups.flatMap((group) => {
    const parts = new Map<number, Weight[]>();
    for (const weight of group.weights) {
      const scale = (group.lrScale ?? 1) * (scales.get(weight) ?? 1);
      parts.set(scale, [...(parts.get(scale) ?? []), weight]);
    }
    return [...parts].map(([lrScale, weights]) => ({ ...group, weights, lrScale }));
  });
}
