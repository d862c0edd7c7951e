/** What a safetensors checkpoint of a model holds: plain weights as they are stored, others as their formats write them, and what config.json says. */
import { Embedding, Projection, type Format, type KeptWeight, type Module, type Weight } from "@lowrank/nn";
import {
  LowrankError,
  NumericsError,
  quote,
  toMemory,
  writeEntries,
  type ByteSink,
  type DType,
  type FileEntry,
} from "@lowrank/tensor";
import { checkOptions, fields, oneOf, optional, pythonJson, type Rule } from "@lowrank/tensor/check";
import { COMPUTE, CONFIG_FLOATS } from "./bnb-config.ts";
import { formats as builtIn } from "./formats/registry.ts";
import { requirePlain } from "./plain.ts";

/** dtypes that quantized weights may be written in as plain numbers. */
export type WrittenFloat = "f32" | "f16" | "bf16";

export interface WriteOptions {
  /** Forms of the caller's own, asked before those that are built in. */
  readonly formats?: readonly Format[];
  /** Writes quantized weights as plain numbers of this dtype; by name where a function is given, undefined for those to be left. Default: each in its own form. */
  readonly dequantize?: WrittenFloat | ((name: string) => WrittenFloat | undefined);
  /** `quantization_config` that the model was loaded with: what weights do not show is taken from it. */
  readonly said?: Readonly<Record<string, unknown>> | undefined;
}

export interface WrittenModel {
  /** `quantization_config`; undefined where no weight needs one. */
  readonly config: Readonly<Record<string, unknown>> | undefined;
  /** dtypes of the weights that are written as plain numbers. */
  readonly plain: ReadonlySet<DType>;
  /** In the model's order; weights with two names once. Nothing that is large is read before an entry is loaded. */
  entries(): Promise<Map<string, FileEntry>>;
}

/** One weight, and how it is written: as it is stored, as numbers, or by the format of its form. */
interface Part {
  readonly name: string;
  readonly weight: Weight;
  readonly as: WrittenFloat | Format | undefined;
}

/**
 * @param source the function that was called, for messages
 * @throws LowrankError (FormatError) naming a weight whose form no safetensors file holds, (QuantizationError) where forms are such that no config can say them
 */
export function writtenModel(source: string, model: Module, options: WriteOptions = {}): WrittenModel {
  const seen = new Set<Weight>();
  const parts = [...model.namedWeights()].flatMap(([name, weight]): Part[] => {
    if (seen.has(weight)) return [];
    seen.add(weight);
    return [{ name, weight, as: asOf(source, name, weight, options) }];
  });
  requireChoice(source, parts, options.dequantize);
  return {
    config: configOf(source, model, parts, options.said),
    plain: new Set(
      parts.flatMap(({ weight, as }) => (as === undefined ? weight.parameter.dtype : typeof as === "string" ? as : [])),
    ),
    async entries() {
      const entries = new Map<string, FileEntry>();
      for (const part of parts) for (const [key, entry] of await entriesOf(part)) entries.set(key, entry);
      return entries;
    },
  };
}

function asOf(source: string, name: string, { form }: Weight, { formats = [], dequantize }: WriteOptions): Part["as"] {
  if (form === undefined) return undefined;
  const numbers = typeof dequantize === "function" ? floatOf(source, name, dequantize(name)) : dequantize;
  if (numbers !== undefined) return numbers;
  const format = [...formats, ...builtIn].find((one) => one.name === form.kind);
  if (format?.write === undefined)
    throw new LowrankError(
      "FormatError",
      `${source}: ${name} is kept as ${form.kind}, which a safetensors checkpoint does not hold (${WRITTEN} it does): say dequantize: "f16" to write such weights as numbers, or save adapters alone (saveAdapter) and keep the file that the base is from`,
    );
  return format;
}

/** A choice that takes nothing was meant otherwise. */
function requireChoice(source: string, parts: readonly Part[], dequantize: WriteOptions["dequantize"]): void {
  if (dequantize === undefined || parts.some(({ weight, as }) => weight.form !== undefined && typeof as === "string"))
    return;
  const kept = parts.filter(({ weight }) => weight.form !== undefined).map(({ name }) => name);
  const said = typeof dequantize === "function" ? "chose no weight" : `is ${quote(dequantize)}`;
  throw new LowrankError(
    "ConfigError",
    kept.length === 0
      ? `${source}: "dequantize" ${said}, and no weight of the model is quantized; leave it out`
      : `${source}: "dequantize" ${said} of the ${kept.length} that are quantized; they are called ${kept.slice(0, 3).join(", ")}, …`,
  );
}

async function entriesOf({ name, weight, as }: Part): Promise<ReadonlyMap<string, FileEntry>> {
  const { shape } = weight;
  if (as === undefined)
    return new Map([[name, { dtype: weight.parameter.dtype, shape, load: async () => (await weight.read()).data }]]);
  if (typeof as === "string") return new Map([[name, { dtype: as, shape, load: () => decoded(name, weight, as) }]]);
  return as.write!.entries(name, weight.form!);
}

const WRITTEN = builtIn
  .filter((format) => format.write !== undefined)
  .map((format) => format.name)
  .join(", ");

const FLOAT = oneOf("f32", "f16", "bf16");

function floatOf(source: string, name: string, given: unknown): WrittenFloat | undefined {
  return given === undefined
    ? undefined
    : FLOAT.read(given, { source, path: [`dequantize(${quote(name)})`], code: "ConfigError" });
}

/** Whatever the device computes in. @throws NumericsError where the numbers do not fit */
async function decoded(name: string, weight: Weight, dtype: WrittenFloat): Promise<Float32Array | Uint16Array> {
  const { data, dtype: from } = await weight.read();
  const f32 = toMemory("f32", data, from) as Float32Array;
  if (dtype === "f32") return f32;
  const narrow = toMemory(dtype, f32, "f32") as Uint16Array;
  const exponent = dtype === "f16" ? 0x7c00 : 0x7f80;
  const bad = narrow.findIndex((bits, i) => (bits & exponent) === exponent && Number.isFinite(f32[i]));
  if (bad >= 0)
    throw new NumericsError(
      `${name}: element ${bad} is ${f32[bad]}, beyond what ${dtype} can hold; say dequantize: "f32" or "bf16"`,
    );
  return narrow;
}

/** One config has one way of quantizing. */
function configOf(
  source: string,
  model: Module,
  parts: readonly Part[],
  said: WriteOptions["said"],
): WrittenModel["config"] {
  const modules = [...model.namedModules()].map(([, m]) => m);
  // an output layer that is the embedding table is no layer of its own in a file
  const tables = new Set(modules.flatMap((m) => (m instanceof Embedding ? [m.weight] : [])));
  const layers = new Set(modules.flatMap((m) => (m instanceof Projection && !tables.has(m.weight) ? [m.weight] : [])));
  const kept = new Map<Format, KeptWeight[]>();
  const quantized = new Set<Weight>();
  for (const { name, weight, as } of parts) {
    if (typeof as !== "object" || as.write?.config === undefined) continue;
    const one = { name, form: weight.form!, isProjection: layers.has(weight) };
    kept.set(as, [...(kept.get(as) ?? []), one]);
    quantized.add(weight);
  }
  if (kept.size > 1)
    throw new LowrankError(
      "QuantizationError",
      `${source}: some weights are ${[...kept.keys()].map(({ name }) => name).join(" and some ")}, and one config.json has one type; say dequantize: "f16", or give it a function that names those of one type`,
    );
  const [format, weights] = [...kept][0] ?? [];
  return format?.write!.config!({ weights: weights!, skip: skipped(model, (weight) => quantized.has(weight)), said });
}

/** A model of a family says under which second name a checkpoint may hold a weight: output layers that are the embedding table. */
interface Tied {
  readonly tied?: ReadonlyMap<string, string>;
}

/**
 * `llm_int8_skip_modules` for the projections that are not quantized, and for output layers that share the embedding table, which are
 * modules of their own in transformers. transformers takes an entry as a regular expression for the beginning of a path, up to a dot or its
 * end, and also as plain text for the end of a path, dot or not: `classifier` takes `pre_classifier` along. Where that would take a quantized
 * one, the entry is a pattern for the whole path and for nothing else.
 */
export function skipModules(model: Module & Tied): string[] {
  return skipped(model, (weight) => weight.form !== undefined);
}

function skipped(model: Module & Tied, isQuantized: (weight: Weight) => boolean): string[] {
  const quantized = new Set<string>();
  const kept = new Set<string>();
  for (const [path, m] of model.namedModules())
    if (m instanceof Projection) (isQuantized(m.weight) ? quantized : kept).add(path);
  for (const second of model.tied?.values() ?? []) {
    const path = second.replace(/\.weight$/, "");
    if (path !== second && !quantized.has(path)) kept.add(path);
  }
  return [...kept].map((path) =>
    [...quantized].some((q) => q.endsWith(path) || q.startsWith(`${path}.`)) ? `${path.replaceAll(".", "\\.")}$` : path,
  );
}

/**
 * Writes a model: weights in four or eight bits with bitsandbytes' entries, all others as they are stored. Weights with two names are
 * written once. `quantizedConfigFile` is the config.json that belongs beside it; `savePretrained` of @lowrank/models writes both.
 * @throws LowrankError (AdapterError) where the model carries adapters
 */
export async function writeQuantizedModel(model: Module, sink: ByteSink): Promise<void> {
  requirePlain("writeQuantizedModel", model);
  await writeEntries(sink, await writtenModel("writeQuantizedModel", model).entries());
}

export interface QuantizedConfigOptions {
  readonly computeDType?: string;
}
const CONFIG_OPTIONS: Rule<QuantizedConfigOptions> = fields<QuantizedConfigOptions>(
  { computeDType: optional(COMPUTE) },
  { spelt: { computeDtype: "computeDType", bnb_4bit_compute_dtype: "computeDType" } },
);

/**
 * Text of the config.json to lie beside what `writeQuantizedModel` writes: the model's own config with a `quantization_config` that is read
 * off the weights, so that transformers (5 or later) makes quantized layers of exactly those that are.
 * @param config of the model, as `readConfig` gives it
 * @throws LowrankError (QuantizationError) where nothing is quantized, or in two ways, which one config cannot say
 */
export function quantizedConfigFile(
  model: Module,
  config: Readonly<Record<string, unknown>>,
  options: QuantizedConfigOptions = {},
): string {
  const { computeDType } = checkOptions("quantizedConfigFile", CONFIG_OPTIONS, options);
  requirePlain("quantizedConfigFile", model);
  const before = config["quantization_config"] as Record<string, unknown> | undefined;
  const said = computeDType === undefined ? before : { ...before, bnb_4bit_compute_dtype: computeDType };
  const { config: quantization } = writtenModel("quantizedConfigFile", model, { said });
  if (quantization === undefined)
    throw new LowrankError(
      "QuantizationError",
      "quantizedConfigFile: no weight of the model is in four or eight bits; quantize it first",
    );
  return `${pythonJson({ ...config, quantization_config: quantization }, { floats: CONFIG_FLOATS, indent: 2, sortKeys: true })}\n`;
}
