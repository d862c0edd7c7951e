/** Which weights of a model are quantized, and doing it: while a checkpoint loads, or in a model that is loaded. */
import { Embedding, endsAtDot, Projection, Weight, type Module, type WeightFormat } from "@lowrank/nn";
import { LowrankError, quote, type DType } from "@lowrank/tensor";
import { checkOptions, fields, listOf, oneOf, optional, suggestion, type Rule } from "@lowrank/tensor/check";
import type { QuantizableFormat, QuantizedFormat, QuantizerOptions } from "./format.ts";
import { formats } from "./formats/registry.ts";
import type { FourBitWeight } from "./four-bit.ts";
import { FILTER, FOUR_BIT, FOUR_BIT_SPELT } from "./options.ts";

/** Forms that are made here; a form that is registered beside these is taken by its name too. */
export type QuantizedName = "nf4" | "fp4" | "int8" | (string & {});

export interface QuantizeOptions extends QuantizerOptions {
  /** Default nf4. */
  readonly format?: QuantizedName;
  /** Dotted suffixes or patterns of modules, each of which must match; default all that transformers would convert. */
  readonly include?: readonly (string | RegExp)[];
  readonly exclude?: readonly (string | RegExp)[];
  /** dtype of embedding tables, which are only looked up in, or a quantized format for them. Default: as loaded. */
  readonly embeddings?: DType | QuantizedName;
}

const MADE: readonly QuantizableFormat[] = formats.filter(({ quantizer }) => quantizer !== undefined);
const NAMES = MADE.map(({ name }) => name);

const { blockSize: BLOCK, doubleQuantization: DOUBLE } = FOUR_BIT;
const OPTIONS: Rule<QuantizeOptions> = fields<QuantizeOptions>(
  {
    format: optional(oneOf(...NAMES)),
    blockSize: BLOCK,
    doubleQuantization: DOUBLE,
    include: optional(listOf(FILTER)),
    exclude: optional(listOf(FILTER)),
    embeddings: optional(oneOf("f64", "f32", "f16", "bf16", ...NAMES)),
    on: optional(oneOf("host", "device")),
  },
  {
    spelt: {
      ...FOUR_BIT_SPELT,
      type: "format",
      quantType: "format",
      quant_type: "format",
      bnb_4bit_quant_type: "format",
      target_modules: "include",
      targetModules: "include",
      modules: "include",
      skip: "exclude",
      llm_int8_skip_modules: "exclude",
      modules_to_not_convert: "exclude",
    },
  },
);

function checked(source: string, options: QuantizeOptions): QuantizeOptions {
  const read = checkOptions(source, OPTIONS, options);
  const { name, quantizer } = quantizable(read.format ?? "nf4");
  const wrong = QUANTIZER_KEYS.find(
    (key) => read[key] !== undefined && read[key] !== PLAINEST[key] && !quantizer.takes.includes(key),
  );
  if (wrong !== undefined) {
    const others = MADE.filter((other) => other.quantizer!.takes.includes(wrong)).map((other) => quote(other.name));
    throw new LowrankError(
      "ConfigError",
      `${source}: "${wrong}" is ${quote(read[wrong])}, and ${name} has no such choice; leave it out, or take format ${others.join(" or ")}`,
    );
  }
  return read;
}

const QUANTIZER_KEYS = ["blockSize", "doubleQuantization", "on"] as const;
/** What says nothing to a format without the choice. */
const PLAINEST: QuantizerOptions = { doubleQuantization: false, on: "host" };

function quantizable(name: string): QuantizableFormat & Required<Pick<QuantizableFormat, "quantizer">> {
  return MADE.find((format) => format.name === name) as ReturnType<typeof quantizable>;
}

/** module path → how its weight is kept. */
export interface QuantizationPlan {
  readonly modules: ReadonlyMap<string, QuantizedFormat>;
  /** For `materialize` and `fromPretrained`. */
  readonly storage: (name: string, weight: Weight) => WeightFormat | DType | undefined;
}

/**
 * transformers' rule: every projection but output layers that share the embedding table and the module that holds the model's last
 * weight, which is the head if there is one; and, in a model with frozen weights, whatever trains. GPT-2's [in, out] weights are turned
 * to [out, in] first, so that blocks run along the input.
 */
export function planQuantization(model: Module, options: QuantizeOptions = {}): QuantizationPlan {
  const {
    format = "nf4",
    include,
    exclude = [],
    embeddings,
    blockSize,
    doubleQuantization,
  } = checked("quantize", options);
  const how: QuantizerOptions = {
    ...(blockSize === undefined ? {} : { blockSize }),
    ...(doubleQuantization === undefined ? {} : { doubleQuantization }),
  };
  const tables = new Set([...model.namedModules()].flatMap(([, m]) => (m instanceof Embedding ? [m.weight] : [])));
  // before anything is frozen, everything trains
  const partly = model.weights().some((w) => !w.trainable);
  const projections = distinctProjections(model).filter(
    ([, { weight }]) => !tables.has(weight) && !(partly && weight.trainable),
  );
  const head = lastModule(model);
  const known = distinctProjections(model).map(([path]) => path);
  for (const filter of exclude) mustMatch("exclude", filter, known);
  for (const filter of include ?? [])
    mustMatch(
      "include",
      filter,
      projections.map(([path]) => path),
      known,
    );
  const modules = new Map<string, QuantizedFormat>();
  const kept = new Map<Weight, WeightFormat | DType>();
  for (const [path, module] of projections) {
    const wanted =
      include === undefined ? head !== path && !head.startsWith(`${path}.`) : include.some((f) => matches(f, path));
    if (!wanted || exclude.some((f) => matches(f, path))) continue;
    const transposed = module.fanInFanOut;
    const chosen = quantizable(format).quantizer.make(how, transposed);
    modules.set(path, chosen);
    kept.set(module.weight, chosen);
  }
  if (modules.size === 0)
    throw new LowrankError(
      "QuantizationError",
      `nothing to quantize: no projection matches include ${JSON.stringify(include?.map(String) ?? "(all)")} and exclude ${JSON.stringify(exclude.map(String))}; the model has ${projections
        .slice(0, 3)
        .map(([p]) => p)
        .join(", ")}, …`,
    );
  if (embeddings !== undefined && tables.size === 0)
    throw new LowrankError(
      "QuantizationError",
      `quantize: "embeddings" is ${quote(embeddings)}, and the model has no embedding table`,
    );
  if (embeddings !== undefined)
    for (const table of tables)
      kept.set(
        table,
        NAMES.includes(embeddings) ? quantizable(embeddings).quantizer.make(how, false) : (embeddings as DType),
      );
  return { modules, storage: (_name, weight) => kept.get(weight) };
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

export interface QuantizedModule {
  readonly path: string;
  readonly kind: string;
  readonly elements: number;
  readonly bytes: number;
}

/** Quantizes a loaded model in place, one weight at a time. */
export async function quantize(model: Module, options: QuantizeOptions = {}): Promise<QuantizedModule[]> {
  const { modules } = planQuantization(model, options);
  for (const [path, format] of modules) {
    const { weight } = model.getModule(path) as Projection;
    const { device } = weight.parameter;
    const name = weight.name || path;
    const form = options.on === "device" ? await format.keepFrom?.(name, weight.parameter.value) : undefined;
    weight.form =
      form ??
      format.keep(device, name, weight.shape, Float32Array.from(await device.readFloats(weight.parameter.value)));
  }
  return quantizedModules(model);
}

/** What is quantized now: read off the weights, not off an option. */
export function quantizedModules(model: Module): QuantizedModule[] {
  return distinctProjections(model).flatMap(([path, { weight }]) =>
    weight.form === undefined
      ? []
      : [{ path, kind: weight.form.kind, elements: weight.size, bytes: weight.form.bytes }],
  );
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

/** @param all with those that may not be quantized */
function mustMatch(key: string, filter: string | RegExp, paths: readonly string[], all = paths): void {
  if (paths.some((path) => matches(filter, path))) return;
  const shown = filter instanceof RegExp ? String(filter) : quote(filter);
  const held = all.find((path) => matches(filter, path));
  if (held !== undefined)
    throw new LowrankError(
      "QuantizationError",
      `quantize: "${key}" has ${shown}, which matches only what cannot be quantized: ${held} shares its weight with an embedding table, or trains`,
    );
  const names = [...new Set(all.map((path) => path.slice(path.lastIndexOf(".") + 1)))];
  throw new LowrankError(
    "QuantizationError",
    `quantize: "${key}" has ${shown}, which matches no projection of the model${suggestion(filter instanceof RegExp ? filter.source : filter, names)}`,
  );
}

function matches(filter: string | RegExp, path: string): boolean {
  return typeof filter === "string" ? endsAtDot(path, filter) : path.search(filter) >= 0;
}
