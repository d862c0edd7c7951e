/** What an adapter becomes in a file: its scale in alpha, its base unmerged, every row one that PEFT can read. */
import { LowrankError, toMemory, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Weight } from "@lowrank/nn";
import type { LoraAdapter } from "./adapter.ts";
import { scaleOf, type LoraConfig } from "./config.ts";
import type { WrittenFacts } from "./config-file.ts";
import { DoraUpdate } from "./layers/dora.ts";
import { SvdUpdate } from "./layers/svd.ts";
import { shortestNames } from "./shortest-names.ts";
import { converted, type ValueOptions } from "./values.ts";
import { writtenAlong } from "./written-along.ts";

/** The configuration under which a file has this adapter's function. */
export function savedConfig(
  adapter: LoraAdapter,
  baseModel: string | undefined,
): { config: LoraConfig; facts: WrittenFacts } {
  const { table, strength, model } = adapter;
  const { targetModules } = adapter.config;
  const config =
    typeof targetModules === "object"
      ? { ...adapter.config, targetModules: shortestNames(targetModules, plainPaths(adapter)) }
      : adapter.config;
  const said = config.source["base_model_name_or_path"];
  const facts: WrittenFacts = {
    baseModel: baseModel ?? (typeof said === "string" && said !== "" ? said : model.origin),
    // one word for all layers: PEFT's is that of the last one
    fanInFanOut: [...adapter.layers.values()].at(-1)?.fanInFanOut ?? false,
  };
  const scaled = table.map(({ module, alpha, rank }) => ({
    module,
    alpha: alpha * strength,
    rank,
    update: adapter.updates.get(module)!,
  }));
  const uniform = scaled.every(
    ({ alpha, rank, update }) =>
      update.scale ===
      (update instanceof SvdUpdate
        ? alpha > 0
          ? alpha
          : update.initialRank * strength
        : scaleOf(config, alpha, rank)),
  );
  if (uniform && strength === 1) return { config, facts };
  const refuse = (why: string): never => {
    throw new LowrankError(
      "AdapterError",
      `saveAdapter: the adapter was scaled, and ${why}; scale it back, or merge it`,
    );
  };
  if (config.initLora === "olora") refuse("OLoRA takes alpha to find the base it started from");
  if (config.initLora === "pissa" && scaled.some(({ update }) => update.scale <= 0))
    refuse("PiSSA divides by it when the base is found again");
  if (config.adaLora !== undefined && (!uniform || !scaled.every(({ alpha }) => alpha > 0)))
    return refuse("AdaLoRA has one alpha, above 0, for all modules");
  if (uniform) {
    const times = (alphas: Readonly<Record<string, number>>): Record<string, number> =>
      Object.fromEntries(Object.entries(alphas).map(([key, alpha]) => [key, alpha * strength]));
    return { config: { ...config, alpha: config.alpha * strength, alphaPattern: times(config.alphaPattern) }, facts };
  }
  // scales were set one by one
  const alphas = scaled.map(({ module, rank, update }) => [
    module.replaceAll(".", "\\."),
    update.scale * (config.rsLora ? Math.sqrt(rank) : rank),
  ]);
  return {
    config: { ...config, alphaMode: "constant", alphaPattern: Object.fromEntries(alphas) as Record<string, number> },
    facts,
  };
}

/** Paths of the model's modules without what adapters put under them. */
function plainPaths({ model, sites, saved }: LoraAdapter): string[] {
  const added = [...sites.keys(), ...saved.keys()].map((path) => `${path}.`);
  return [...model.namedModules()]
    .map(([path]) => path)
    .filter((path) => path !== "" && !added.some((prefix) => path.startsWith(prefix)));
}

/** Runs `body` with the base as it is without this adapter, where what is saved depends on the base. */
export async function unmergedWhile(adapter: LoraAdapter, body: () => Promise<void>): Promise<void> {
  const depends = adapter.config.bias !== "none" || adapter.config.dora || writtenAlong(adapter).size > 0;
  const merged = depends ? [...adapter.sites.values()].filter((layer) => layer.merged) : [];
  if (merged.some(({ adapters }) => adapters.final))
    throw new LowrankError(
      "MergeError",
      "saveAdapter: the adapter is merged into a base that was quantized, and what is to be saved cannot be told apart from it; save before merging",
    );
  for (const { adapters } of merged) adapters.unmerge();
  try {
    await body();
  } finally {
    for (const { adapters } of merged) await adapters.merge();
  }
}

interface Saved {
  readonly dtype: DType;
  readonly shape: readonly number[];
  read(): Promise<StoredTensor>;
}

/** Tensors by their names in the file, each read when its turn comes. */
export async function tensorsToSave(adapter: LoraAdapter, options: ValueOptions): Promise<Map<string, Saved>> {
  const instead = await readableRows(adapter);
  const out = new Map<string, Saved>();
  for (const [name, weight] of [...writtenAlong(adapter), ...adapter.fileWeights()]) {
    const read = async (): Promise<StoredTensor> => {
      const { dtype, data } = await weight.read();
      return {
        dtype: "f32",
        shape: weight.shape,
        data: converted("f32", instead.get(weight) ?? { dtype, shape: weight.shape, data }, name, options),
      };
    };
    const before = adapter.narrowInFile.get(name);
    const narrow = before === undefined ? undefined : exactly(before, await read());
    out.set(
      name,
      narrow === undefined
        ? { dtype: "f32", shape: weight.shape, read }
        : { dtype: narrow.dtype, shape: weight.shape, read: () => Promise.resolve(narrow) },
    );
  }
  return out;
}

/** The same numbers in a narrower dtype, where it holds every one of them: what came from half precision and was not trained since. */
function exactly(dtype: "f16" | "bf16", tensor: StoredTensor): StoredTensor | undefined {
  const data = toMemory(dtype, tensor.data, tensor.dtype);
  const back = toMemory("f32", data, dtype);
  return tensor.data.every((v, i) => Object.is(v, back[i])) ? { dtype, shape: tensor.shape, data } : undefined;
}

/**
 * DoRA's rows of W + sBA that are exactly 0: PEFT would divide 0 by their norm. With m = 0 and any B that is not 0 it reads a row of
 * zeros, which is what ours is.
 */
async function readableRows(adapter: LoraAdapter): Promise<Map<Weight, StoredTensor>> {
  const out = new Map<Weight, StoredTensor>();
  for (const [path, update] of adapter.updates) {
    if (!(update instanceof DoraUpdate)) continue;
    const rows = [...(await update.zeroRows().floats())].flatMap((zero, row) => (zero === 0 ? [] : [row]));
    if (rows.length === 0) continue;
    const [a, b, m] = await Promise.all([
      update.a.value.floats(),
      update.b.value.floats(),
      update.magnitude.value.floats(),
    ]);
    const inner = update.base.inFeatures;
    const moves = Array.from({ length: update.rank }, (_, k) => k).find((k) =>
      a.subarray(k * inner, (k + 1) * inner).some((v) => Math.abs(v) > TINY),
    );
    if (moves === undefined || update.scale === 0)
      throw new LowrankError(
        "AdapterError",
        `saveAdapter: row ${rows[0]} of ${path} is exactly zero, base and update, and PEFT would read NaN there; leave ${path} out of the targets, or save without DoRA`,
      );
    for (const row of rows) {
      b[row * update.rank + moves] = 1;
      m[row] = 0;
    }
    out.set(update.b, { dtype: "f64", shape: update.b.shape, data: b });
    out.set(update.magnitude, { dtype: "f64", shape: update.magnitude.shape, data: m });
  }
  return out;
}

/** A row of A whose square does not vanish in f32. */
const TINY = 1e-15;
