/** What attaching an adapter changes on a model that carries others: which weights train, which adapters take part, which are merged. */
import type { Module } from "@lowrank/nn";
import { copiesOf, layersOf } from "./layers/walk.ts";

/** Returns what puts it all back. Merging is repeated, which gives the same bits. */
export function snapshot(model: Module): () => Promise<void> {
  const trainable = model.weights().map((weight) => [weight, weight.trainable] as const);
  const layers = layersOf(model).map(([, { adapters }]) => ({
    adapters,
    active: adapters.active,
    merged: adapters.merged && !adapters.final,
  }));
  const copies = copiesOf(model).map(([, copy]) => [copy, copy.active] as const);
  return async () => {
    for (const [weight, train] of trainable) weight.trainable = train;
    for (const [copy, active] of copies) copy.active = active;
    for (const { adapters, active, merged } of layers) {
      if (!adapters.final) adapters.activate(active);
      if (merged) await adapters.merge();
    }
  };
}
