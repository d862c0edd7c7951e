/** Which weights of a model are quantised, and doing it: while a checkpoint loads, or in a model that is loaded. */
import { Embedding, Projection, Weight, type Module, type WeightFormat } from "@lowrank/nn";
import { LowrankError, type DType } from "@lowrank/tensor";
import { fourBit, type FourBitWeight } from "./four-bit.ts";
import type { QuantisedFormat } from "./format.ts";
import { eightBit } from "./int8.ts";
import type { FourBitOptions } from "./state.ts";
import type { FourBitType } from "./tables.ts";

export interface QuantiseOptions extends Omit<FourBitOptions, "type"> {
  /** Default nf4. */
  readonly format?: "nf4" | "fp4" | "int8";
  /** Dotted suffixes or patterns of modules; default all that transformers would convert. */
  readonly include?: readonly (string | RegExp)[];
  readonly exclude?: readonly (string | RegExp)[];
  /** dtype of embedding tables, which are only looked up in, or a four-bit format for them. Default: as loaded. */
  readonly embeddings?: DType | FourBitType;
  /** Where codes are looked for when a loaded model is quantised: the bytes are the same. Default host. int8 is made on the host. */
  readonly on?: "host" | "device";
}

/** module path → how its weight is kept. */
export interface QuantisationPlan {
  readonly modules: ReadonlyMap<string, QuantisedFormat>;
  /** For `materialize` and `fromPretrained`. */
  readonly storage: (name: string, weight: Weight) => WeightFormat | DType | undefined;
}

/**
 * transformers' rule: every projection but output layers that share the embedding table and the module that holds the model's last
 * weight, which is the head if there is one; and, in a model with frozen weights, whatever trains. GPT-2's [in, out] weights are turned
 * to [out, in] first, so that blocks run along the input.
 */
export function planQuantisation(model: Module, options: QuantiseOptions = {}): QuantisationPlan {
  const { format = "nf4", include, exclude = [] } = options;
  const tables = new Set([...model.namedModules()].flatMap(([, m]) => (m instanceof Embedding ? [m.weight] : [])));
  // before anything is frozen, everything trains
  const partly = model.weights().some((w) => !w.trainable);
  const projections = distinctProjections(model).filter(([, { weight }]) => !tables.has(weight) && !(partly && weight.trainable));
  const head = lastModule(model);
  const modules = new Map<string, QuantisedFormat>();
  const formats = new Map<Weight, WeightFormat | DType>();
  for (const [path, module] of projections) {
    const wanted = include === undefined ? head !== path && !head.startsWith(`${path}.`) : include.some((f) => matches(f, path));
    if (!wanted || exclude.some((f) => matches(f, path))) continue;
    const transposed = module.fanInFanOut;
    const chosen: QuantisedFormat = format === "int8" ? eightBit(transposed) : fourBit({ ...options, type: format }, transposed);
    modules.set(path, chosen);
    formats.set(module.weight, chosen);
  }
  if (modules.size === 0) throw new LowrankError("QuantisationError", `nothing to quantise: no projection matches include ${JSON.stringify(include?.map(String) ?? "(all)")} and exclude ${JSON.stringify(exclude.map(String))}; the model has ${projections.slice(0, 3).map(([p]) => p).join(", ")}, …`);
  const { embeddings } = options;
  if (embeddings !== undefined) for (const table of tables) formats.set(table, embeddings === "nf4" || embeddings === "fp4" ? fourBit({ ...options, type: embeddings }) : embeddings);
  return { modules, storage: (_name, weight) => formats.get(weight) };
}

/** An adapter and the layer under it share a weight; the adapter's path, which comes first, is the one the checkpoint knows. */
function distinctProjections(model: Module): [string, Projection][] {
  const seen = new Set<Weight>();
  return [...model.namedModules()].flatMap(([path, m]): [string, Projection][] => {
    if (!(m instanceof Projection) || seen.has(m.weight)) return [];
    seen.add(m.weight);
    return [[path, m]];
  });
}

/** Path of the last module with a weight of its own; one that appears again under a second name counts where it was first. */
function lastModule(model: Module): string {
  const seen = new Set<unknown>();
  let last = "";
  for (const [path, module] of model.namedModules()) {
    const own = Object.values(module).filter((w) => w instanceof Weight && !seen.has(w));
    if (own.length > 0) last = path;
    own.forEach((w) => seen.add(w));
  }
  return last;
}

export interface QuantisedModule { readonly path: string; readonly kind: string; readonly elements: number; readonly bytes: number }

/** Quantises a loaded model in place, one weight at a time. */
export async function quantise(model: Module, options: QuantiseOptions = {}): Promise<QuantisedModule[]> {
  const { modules } = planQuantisation(model, options);
  for (const [path, format] of modules) {
    const { weight } = model.getModule(path) as Projection;
    const { device } = weight.parameter;
    const name = weight.name || path;
    const form = options.on === "device" ? await format.keepFrom?.(name, weight.parameter.value) : undefined;
    weight.form = form ?? format.keep(device, name, weight.shape, Float32Array.from(await device.readFloats(weight.parameter.value)));
  }
  return quantisedModules(model);
}

/** What is quantised now: read off the weights, not off an option. */
export function quantisedModules(model: Module): QuantisedModule[] {
  return distinctProjections(model).flatMap(([path, { weight }]) =>
    (weight.form === undefined ? [] : [{ path, kind: weight.form.kind, elements: weight.size, bytes: weight.form.bytes }]));
}

/** Distinct codes of each block: at most 16, the proof that a weight is in four bits. */
export async function codesPerBlock(weight: FourBitWeight): Promise<{ readonly most: number; readonly mean: number }> {
  const { codes, blockSize } = await weight.read();
  let [most, sum, blocks] = [0, 0, 0];
  for (let from = 0; from < codes.length; from += blockSize / 2) {
    const seen = new Set<number>();
    for (const byte of codes.subarray(from, from + blockSize / 2)) seen.add(byte >> 4).add(byte & 15);
    most = Math.max(most, seen.size);
    sum += seen.size;
    blocks++;
  }
  return { most, mean: sum / blocks };
}

function matches(filter: string | RegExp, path: string): boolean {
  return typeof filter === "string" ? path === filter || path.endsWith(`.${filter}`) : filter.test(path);
}
