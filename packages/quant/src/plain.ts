/** Whether a model is as its class made it, and can be written under names that others read. */
import { Embedding, Projection, type Module } from "@lowrank/nn";
import { LowrankError } from "@lowrank/tensor";

/**
 * A plain layer has weights of its own and none below; what an adapter or a trained copy of a head adds hangs below the layer.
 * @throws LowrankError (AdapterError) naming the first weight that was added
 */
export function requirePlain(source: string, model: Module): void {
  const layers = new Set(
    [...model.namedModules()].flatMap(([path, m]) => (m instanceof Projection || m instanceof Embedding ? [path] : [])),
  );
  for (const [name] of model.namedWeights()) {
    for (let end = name.indexOf("."); end >= 0; end = name.indexOf(".", end + 1)) {
      if (!layers.has(name.slice(0, end)) || !name.includes(".", end + 1)) continue;
      throw new LowrankError(
        "AdapterError",
        `${source}: the model carries adapters (${name}); save them with saveAdapter, or call mergeAndUnload first`,
      );
    }
  }
}
