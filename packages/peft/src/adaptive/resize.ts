/** Cutting an adapter to the triplets that live: smaller tensors, the same function. */
import { LowrankError, type Parameter } from "@lowrank/tensor";
import type { Weight } from "@lowrank/nn";
import type { LoraAdapter } from "../adapter.ts";
import { LoraProjection } from "../layers/projection.ts";
import { SvdUpdate } from "../layers/svd.ts";
import type { Triplets } from "./method.ts";

/** The parts of an AdaLoRA adapter that allocators work on, in the order of its modules. Throws on an adapter in another form. */
export function tripletsOf(adapter: LoraAdapter): Triplets[] {
  return [...adapter.updates].map(([name, update]) => {
    if (!(update instanceof SvdUpdate))
      throw new LowrankError(
        "AdapterError",
        `${name}: rank allocation needs updates in SVD form; attach the adapter with adaLora options`,
      );
    return { name, a: update.a, b: update.b, e: update.e };
  });
}

/**
 * Leaves only what `masks` keep: rows of A and E, columns of B. The scale stays that of the initial rank. Fills in the adapter's rank
 * mask and its table. Optimizers and compiled steps made before hold the old tensors and must be made anew.
 * @param masks by module path, as `AdaptiveMethod.masks` gives them; triplets left out must have E = 0
 */
export async function resizeAdapter(
  adapter: LoraAdapter,
  masks: ReadonlyMap<string, readonly boolean[]>,
): Promise<void> {
  const { adaLora } = adapter.config;
  if (adaLora === undefined)
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
  for (const [path, layer] of adapter.sites) {
    if (!(layer instanceof LoraProjection))
      throw new LowrankError("AdapterError", `resizeAdapter: ${path} is not a projection`);
    const old = layer.updates.get(adapter.name) as SvdUpdate;
    const kept = masks.get(path)!.flatMap((keep, k) => (keep ? [k] : []));
    const next = new SvdUpdate(old.base, {
      rank: kept.length,
      scale: old.scale,
      dropout: old.dropout.p,
      initialRank: old.initialRank,
    });
    await take(old.a, next.a, (k, i) => kept[k]! * old.base.inFeatures + i);
    await take(old.b, next.b, (o, k) => o * old.rank + kept[k]!);
    await take(old.e, next.e, (k) => kept[k]!);
    await take(old.ranknum, next.ranknum, (i) => i);
    adapter.replaceUpdate(path, next);
  }
  adapter.config = {
    ...adapter.config,
    adaLora: { ...adaLora, rankMask: Object.fromEntries([...masks].map(([path, mask]) => [`${path}.lora_E`, mask])) },
  };
  adapter.table = adapter.table.map((row) => {
    const rank = adapter.updates.get(row.module)!.rank;
    return { ...row, rank, parameters: rank * (row.inFeatures + row.outFeatures + 1) };
  });
}

/** Fills `to` with elements of `from`: `at` gives the place of row i, column j. */
async function take(from: Weight, to: Weight, at: (i: number, j: number) => number): Promise<void> {
  const { parameter }: { parameter: Parameter } = from;
  const data = await parameter.data();
  const values = data.slice(0, to.size);
  const columns = to.shape[1] ?? 1;
  for (let i = 0; i < to.size; i++) values[i] = data[at(Math.floor(i / columns), i % columns)]!;
  to.parameter = parameter.device.parameter(values, to.shape, parameter.dtype, parameter.dtype);
  to.name = from.name;
  to.trainable = from.trainable;
  from.dispose();
}
