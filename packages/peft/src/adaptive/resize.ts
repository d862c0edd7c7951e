/** Cutting an adapter to the triplets that live: smaller tensors, the same function. */
import { LowrankError } from "@lowrank/tensor";
import type { Adapter } from "../adapter.ts";
import type { Triplets } from "./method.ts";

/** The parts of an AdaLoRA adapter that allocators work on, in the order of its modules. Throws on an adapter in another form. */
export function tripletsOf(adapter: Adapter): Triplets[] {
  return [...adapter.updates].map(([name, { ranks }]) => {
    if (ranks === undefined)
      throw new LowrankError(
        "AdapterError",
        `${name}: rank allocation needs updates in SVD form; attach the adapter with adaLora options`,
      );
    return { name, a: ranks.a, b: ranks.b, e: ranks.e };
  });
}

/**
 * Leaves only what `masks` keep: rows of A and E, columns of B. The scale stays that of the initial rank. Fills in the adapter's rank
 * mask and its table. Optimizers and compiled steps made before hold the old tensors and must be made anew.
 * @param masks by module path, as `AdaptiveMethod.masks` gives them; triplets left out must have E = 0
 */
export async function resizeAdapter(adapter: Adapter, masks: ReadonlyMap<string, readonly boolean[]>): Promise<void> {
  const { method, config } = adapter;
  if (method.keeping === undefined)
    throw new LowrankError("AdapterError", "resizeAdapter: the adapter is not an AdaLoRA adapter");
  for (const { name, e } of tripletsOf(adapter)) {
    const mask = masks.get(name);
    if (mask?.length !== e.size)
      throw new LowrankError(
        "AdapterError",
        `resizeAdapter: ${name} has ${e.size} ranks, its mask ${mask === undefined ? "is missing" : `has ${mask.length}`}`,
      );
    const lost = (await e.value.floats()).findIndex((v, k) => v !== 0 && !mask[k]!);
    if (lost >= 0)
      throw new LowrankError(
        "AdapterError",
        `resizeAdapter: rank ${lost} of ${name} still acts; only ranks with E = 0 can go without changing the function`,
      );
  }
  for (const [path, update] of adapter.updates) {
    const kept = masks.get(path)!.flatMap((keep, k) => (keep ? [k] : []));
    adapter.replaceUpdate(path, await update.ranks!.cut(kept));
  }
  adapter.config = method.keeping(config, masks);
  adapter.table = adapter.table.map((row) => {
    const { rank } = adapter.updates.get(row.module)!.lowRank!;
    return { ...row, rank, parameters: rank * (row.inFeatures + row.outFeatures + 1) };
  });
}
