/** What an adapter becomes in a file: its scale in alpha, its base unmerged, every row one that PEFT can read. */
import { LowrankError, toMemory, type DType, type StoredTensor } from "@lowrank/tensor";
import type { Weight } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import type { WrittenFacts } from "./config-file.ts";
import type { LoraConfig } from "./lora/config.ts";
import type { AdapterConfig } from "./methods/method.ts";
import { shortestNames } from "./shortest-names.ts";
import { converted, type ValueOptions } from "./values.ts";

export interface SavedOptions {
  readonly baseModel?: string | undefined;
  readonly revision?: string | undefined;
  /** Beside the base that a start left, instead of the original one. */
  readonly keepStart?: boolean | undefined;
}

/** The configuration under which a file has this adapter's function, and whether that is beside a base from which its start took nothing. */
export function savedConfig(
  adapter: Adapter,
  { baseModel, revision, keepStart = false }: SavedOptions,
): { config: AdapterConfig; facts: WrittenFacts; beside: boolean } {
  const { table, strength, model, method, taken } = adapter;
  const { targetModules } = adapter.config;
  const own =
    typeof targetModules === "object"
      ? { ...adapter.config, targetModules: shortestNames(targetModules, plainPaths(adapter)) }
      : adapter.config;
  const said = own.source["base_model_name_or_path"];
  const unsaid = baseModel === undefined && (typeof said !== "string" || said === "");
  const facts: WrittenFacts = {
    baseModel: unsaid ? model.origin : (baseModel ?? (said as string)),
    // of the model that was loaded, and of no other
    revision: revision ?? (unsaid ? model.originRevision : undefined),
    // one word for all layers: PEFT's is that of the last one
    fanInFanOut: [...adapter.layers.values()].at(-1)?.fanInFanOut ?? false,
  };
  const rows = table.map((row) => ({ row, update: adapter.updates.get(row.module)! }));
  const scaled = (config: AdapterConfig): AdapterConfig => method.saved?.(config, rows, strength) ?? config;
  if (!keepStart) requireTaken(adapter, "saveAdapter");
  const beside = keepStart || taken.size === 0 ? undefined : method.beside?.(own, scaled);
  if (beside !== undefined && [...taken.keys()].some((path) => adapter.updates.get(path)!.scale === 0))
    throw new LowrankError(
      "AdapterError",
      "saveAdapter: the adapter was scaled to 0, and what its start took from the base would be lost with it; scale it back, or merge it",
    );
  return { config: beside ?? scaled(own), facts, beside: beside !== undefined };
}

/** @throws LowrankError (AdapterError) where nobody knows what the adapter's start took: it is right beside its own base only */
export function requireTaken({ config, taken }: Adapter, source: string): void {
  if ((config as Partial<LoraConfig>).initLora === "loftq" && taken.size === 0)
    throw new LowrankError(
      "AdapterError",
      `${source}: the adapter began with LoftQ, and was loaded without the model at full width, beside which it is another one; load it with "original", or save it with keepStart: true for a base in NF4`,
    );
}

/** Paths of the model's modules without what adapters put under them. */
function plainPaths({ model, sites, tokens, saved }: Adapter): string[] {
  const followers = [...tokens.values()].flatMap(({ followers: own }) => [...own.keys()]);
  const added = [...sites.keys(), ...tokens.keys(), ...followers, ...saved.keys()].map((path) => `${path}.`);
  return [...model.namedModules()]
    .map(([path]) => path)
    .filter((path) => path !== "" && !added.some((prefix) => path.startsWith(prefix)));
}

/** Runs `body` with the base as it is without this adapter, where what is saved depends on the base. */
export async function unmergedWhile(
  adapter: Adapter,
  along: ReadonlyMap<string, Weight>,
  body: () => Promise<void>,
): Promise<void> {
  const depends =
    adapter.config.bias !== "none" ||
    [...adapter.updates.values()].some(({ readsBase }) => readsBase) ||
    along.size > 0;
  const merged = depends ? [...adapter.everywhere()].map(([, layer]) => layer).filter((layer) => layer.merged) : [];
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

/** Tensors by their names in the file, each read when its turn comes. @param beside the original base, with what starts took from it */
export async function tensorsToSave(
  adapter: Adapter,
  along: ReadonlyMap<string, Weight>,
  options: ValueOptions & { readonly beside: boolean },
): Promise<Map<string, Saved>> {
  const instead = new Map<Weight, StoredTensor>();
  for (const [path, update] of adapter.updates) {
    const wide = options.beside ? await update.lowRank?.beside?.(adapter.taken.get(path)) : undefined;
    for (const [weight, tensor] of [...(wide ?? []), ...(await update.saved(path))]) instead.set(weight, tensor);
  }
  const out = new Map<string, Saved>();
  for (const [name, weight] of [...along, ...adapter.fileWeights()]) {
    const { shape } = instead.get(weight) ?? weight;
    const read = async (): Promise<StoredTensor> => {
      const { dtype, data } = await weight.read();
      return {
        dtype: "f32",
        shape,
        data: converted("f32", instead.get(weight) ?? { dtype, shape, data }, name, options),
      };
    };
    const before = adapter.narrowInFile.get(name);
    const narrow = before === undefined ? undefined : exactly(before, await read());
    out.set(
      name,
      narrow === undefined
        ? { dtype: "f32", shape, read }
        : { dtype: narrow.dtype, shape, read: () => Promise.resolve(narrow) },
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
