/** Which weights of a model are quantised, and doing it: while a checkpoint loads, or in a model that is loaded. */
import { Conv1D, Embedding, Projection, type Module, type Weight, type WeightFormat } from "@lowrank/nn";
import { LowrankError, type DType } from "@lowrank/tensor";
import { fourBit, type FourBitOptions, type FourBitWeight } from "./four-bit.ts";
import { int8 } from "./int8.ts";

export interface QuantiseOptions extends Omit<FourBitOptions, "type"> {
  /** Default nf4. */
  readonly format?: "nf4" | "fp4" | "int8";
  /** Dotted suffixes or patterns of modules; default all that transformers would convert. */
  readonly include?: readonly (string | RegExp)[];
  readonly exclude?: readonly (string | RegExp)[];
  /** dtype of embedding tables, which are only looked up in. Default: as loaded. */
  readonly embeddings?: DType;
}

/** module path → how its weight is kept. */
export interface QuantisationPlan {
  readonly modules: ReadonlyMap<string, WeightFormat>;
  /** For `materialize` and `fromPretrained`. */
  readonly storage: (name: string, weight: Weight) => WeightFormat | DType | undefined;
}

/**
 * transformers' rule: every projection but the last module (the head) and output layers that share the embedding table.
 * GPT-2's [in, out] weights are turned to [out, in] first, so that blocks run along the input.
 */
export function planQuantisation(model: Module, options: QuantiseOptions = {}): QuantisationPlan {
  const { format = "nf4", include, exclude = [] } = options;
  const all = [...model.namedModules()];
  const tables = new Set(all.flatMap(([, m]) => (m instanceof Embedding ? [m.weight] : [])));
  const projections = all.flatMap(([path, m]) => (m instanceof Projection && !tables.has(m.weight) ? [[path, m] as const] : []));
  const head = projections[projections.length - 1]?.[0];
  const modules = new Map<string, WeightFormat>();
  const formats = new Map<Weight, WeightFormat | DType>();
  for (const [path, module] of projections) {
    const wanted = include === undefined ? path !== head : include.some((f) => matches(f, path));
    if (!wanted || exclude.some((f) => matches(f, path))) continue;
    const chosen = format === "int8" ? int8 : fourBit({ ...options, type: format }, module instanceof Conv1D || module.fanInFanOut);
    modules.set(path, chosen);
    formats.set(module.weight, chosen);
  }
  if (modules.size === 0) throw new LowrankError("QuantisationError", `nothing to quantise: no projection matches include ${JSON.stringify(include?.map(String) ?? "(all)")} and exclude ${JSON.stringify(exclude.map(String))}; the model has ${projections.slice(0, 3).map(([p]) => p).join(", ")}, …`);
  if (options.embeddings !== undefined) for (const table of tables) formats.set(table, options.embeddings);
  return { modules, storage: (_name, weight) => formats.get(weight) };
}

export interface QuantisedModule { readonly path: string; readonly kind: string; readonly elements: number; readonly bytes: number }

/** Quantises a loaded model in place, one weight at a time. */
export async function quantise(model: Module, options: QuantiseOptions = {}): Promise<QuantisedModule[]> {
  const { modules } = planQuantisation(model, options);
  for (const [path, format] of modules) {
    const { weight } = model.getModule(path) as Projection;
    const { device } = weight.parameter;
    const values = Float32Array.from(await device.readFloats(weight.parameter.value));
    weight.form = format.keep(device, weight.name || path, weight.shape, values);
  }
  return quantisedModules(model);
}

/** What is quantised now: read off the weights, not off an option. */
export function quantisedModules(model: Module): QuantisedModule[] {
  return [...model.namedModules()].flatMap(([path, m]) => {
    if (!(m instanceof Projection)) return [];
    const { form } = m.weight;
    return form === undefined ? [] : [{ path, kind: form.kind, elements: m.weight.size, bytes: form.bytes }];
  });
}

/** Distinct codes of each block: at most 16, the proof that a weight is in four bits. */
export async function codesPerBlock(weight: FourBitWeight): Promise<{ readonly most: number; readonly mean: number }> {
  const { codes, blockSize } = await weight.read();
  const perBlock: number[] = [];
  for (let from = 0; from < codes.length; from += blockSize / 2) {
    const seen = new Set<number>();
    for (const byte of codes.subarray(from, from + blockSize / 2)) seen.add(byte >> 4).add(byte & 15);
    perBlock.push(seen.size);
  }
  return { most: Math.max(...perBlock), mean: perBlock.reduce((a, b) => a + b, 0) / perBlock.length };
}

function matches(filter: string | RegExp, path: string): boolean {
  return typeof filter === "string" ? path === filter || path.endsWith(`.${filter}`) : filter.test(path);
}
