/** Whole checkpoints in four bits: made tensor by tensor from one at full width, loaded into a model and saved from it. */
import { Projection, type Module, type Weight } from "@lowrank/nn";
import {
  LowrankError,
  quote,
  toMemory,
  writeSafetensors,
  type ByteSink,
  type Device,
  type DType,
  type StoredTensor,
  type TensorPlan,
} from "@lowrank/tensor";
import { callback, checkOptions, fields, flag, optional, suggestion, type Rule } from "@lowrank/tensor/check";
import { fromEntries, isFourBit, toEntries, type ReadOptions } from "./bnb-file.ts";
import { FourBitWeight } from "./four-bit.ts";
import { transposeOf } from "./format.ts";
import { FOUR_BIT, FOUR_BIT_SPELT } from "./options.ts";
import { requirePlain } from "./plain.ts";
import { quantizeFourBit, type FourBitOptions } from "./state.ts";

/** What a SafetensorsFile is to this module. */
export interface TensorReader {
  readonly names: readonly string[];
  info(name: string): { readonly dtype: string; readonly shape: readonly number[] };
  read(name: string): Promise<StoredTensor>;
}

export interface QuantizeCheckpointOptions extends FourBitOptions {
  /** Whether a tensor is quantized; "transposed" where it lies [in, out] and is turned to [out, in] first. See `selectFrom`. */
  readonly select: (name: string, shape: readonly number[]) => boolean | "transposed";
}

const OPTIONS: Rule<QuantizeCheckpointOptions> = fields<QuantizeCheckpointOptions>(
  { ...FOUR_BIT, select: callback() },
  { spelt: { ...FOUR_BIT_SPELT, include: "select", modules: "select" } },
);

/** One tensor of the source and what became of it. */
export interface CheckpointPart {
  readonly name: string;
  readonly quantized: boolean;
  /** By name in the new file: one tensor as it was, or codes with their scales and tables. */
  readonly entries: ReadonlyMap<string, StoredTensor>;
}

const TORCH_NAMES: Partial<Record<DType, string>> = {
  f64: "float64",
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
};

/** The choice of a plan, for names of its model: `selectFrom(planQuantization(model))`. */
export function selectFrom({
  modules,
}: {
  readonly modules: ReadonlyMap<string, { readonly transposed: boolean }>;
}): QuantizeCheckpointOptions["select"] {
  return (name) => {
    const format = name.endsWith(".weight") ? modules.get(name.slice(0, -".weight".length)) : undefined;
    return format === undefined ? false : format.transposed ? "transposed" : true;
  };
}

/**
 * Reads, quantizes and yields one tensor at a time and keeps none, so that a consumer who does the same holds one at full width.
 * @throws NumericsError naming the tensor and element that is not finite
 */
export async function* quantizeCheckpoint(
  reader: TensorReader,
  options: QuantizeCheckpointOptions,
): AsyncGenerator<CheckpointPart, void, undefined> {
  const read = checkOptions("quantizeCheckpoint", OPTIONS, options);
  let done = 0;
  for (const name of reader.names) {
    const part = await quantizePart(reader, name, read);
    if (part.quantized) done++;
    yield part;
  }
  if (done === 0) nothingChosen("quantizeCheckpoint", reader);
}

function nothingChosen(source: string, { names }: TensorReader): never {
  throw new LowrankError(
    "QuantizationError",
    `${source}: "select" chose none of the ${names.length} tensors; they are called ${names.slice(0, 3).map(quote).join(", ")}, …`,
  );
}

async function quantizePart(
  reader: TensorReader,
  name: string,
  { select, ...format }: QuantizeCheckpointOptions,
): Promise<CheckpointPart> {
  const how = select(name, reader.info(name).shape);
  const stored = await reader.read(name);
  if (how === false) return { name, quantized: false, entries: new Map([[name, stored]]) };
  const sourceDType = TORCH_NAMES[stored.dtype];
  if (sourceDType === undefined)
    throw new LowrankError("QuantizationError", `${name} is ${stored.dtype}; only floats can be quantized`);
  if (how === "transposed" && stored.shape.length !== 2)
    throw new LowrankError(
      "QuantizationError",
      `${name} is [${stored.shape.join(", ")}]; only matrices can be transposed`,
    );
  let values = toMemory("f32", stored.data, stored.dtype) as Float32Array;
  let { shape } = stored;
  if (how === "transposed") {
    values = transposeOf(values, shape[0]!, shape[1]!);
    shape = [shape[1]!, shape[0]!];
  }
  return { name, quantized: true, entries: toEntries(name, quantizeFourBit(values, shape, format, name, sourceDType)) };
}

const READ_AS: Readonly<Record<string, DType>> = {
  F64: "f64",
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  I64: "i32",
  I32: "i32",
  U32: "u32",
  U8: "u8",
  BOOL: "bool",
};

/**
 * Writes a four-bit copy of a checkpoint. The four-bit parts are held until the header is written, since a header says the length of
 * everything; what is not quantized is read again when its turn comes.
 * @returns names of the tensors that were quantized
 */
export async function writeQuantizedCheckpoint(
  reader: TensorReader,
  sink: ByteSink,
  options: QuantizeCheckpointOptions,
): Promise<string[]> {
  const read = checkOptions("writeQuantizedCheckpoint", OPTIONS, options);
  const done: string[] = [];
  const parts: Part[] = [];
  for (const name of reader.names) {
    const { dtype, shape } = reader.info(name);
    if (read.select(name, shape) === false) {
      const as = READ_AS[dtype];
      if (as === undefined) throw new LowrankError("FormatError", `${name} is ${dtype}, which cannot be copied`);
      parts.push([name, { dtype: as, shape, load: () => reader.read(name) }]);
      continue;
    }
    done.push(name);
    for (const [key, tensor] of (await quantizePart(reader, name, read)).entries) parts.push(held(key, tensor));
  }
  if (done.length === 0) nothingChosen("writeQuantizedCheckpoint", reader);
  await writeParts(sink, parts);
  return done;
}

/**
 * Writes a model: weights in four bits with bitsandbytes' entries, all others as they are stored. Weights with two names are written once.
 * `quantizedConfigFile` is the config.json that belongs beside it.
 * @throws LowrankError (AdapterError) where the model carries adapters
 */
export async function writeQuantizedModel(model: Module, sink: ByteSink): Promise<void> {
  requirePlain("writeQuantizedModel", model);
  const seen = new Set<Weight>();
  const parts: Part[] = [];
  for (const [name, weight] of model.namedWeights()) {
    if (seen.has(weight)) continue;
    seen.add(weight);
    const { form } = weight;
    if (form instanceof FourBitWeight)
      for (const [key, tensor] of toEntries(name, await form.read())) parts.push(held(key, tensor));
    else if (form !== undefined)
      throw new LowrankError(
        "FormatError",
        `${name} is kept as ${form.kind}; only nf4 and fp4 can be written; quantize the model with one of these to save it in four bits`,
      );
    else parts.push([name, { dtype: weight.parameter.dtype, shape: weight.shape, load: () => weight.read() }]);
  }
  await writeParts(sink, parts);
}

type Part = readonly [name: string, TensorPlan & { readonly load: () => Promise<StoredTensor> }];

function held(name: string, tensor: StoredTensor): Part {
  return [name, { dtype: tensor.dtype, shape: tensor.shape, load: () => Promise.resolve(tensor) }];
}

function writeParts(sink: ByteSink, parts: readonly Part[]): Promise<void> {
  const plan = new Map(parts);
  return writeSafetensors(sink, plan, (name) => plan.get(name)!.load());
}

export interface LoadFourBitOptions extends ReadOptions {
  /** Name in the file of a weight of the model. Default: the same. */
  readonly nameOf?: (name: string) => string;
}

const LOAD_OPTIONS: Rule<LoadFourBitOptions> = fields<LoadFourBitOptions>({
  nameOf: optional(callback()),
  allowNonFinite: optional(flag),
});

/**
 * Gives each projection whose weight `reader` holds in four bits its codes and scales as they are in the file; `materialize` then fills
 * the rest. To be called before it.
 * @returns names of the weights, in the model
 * @throws LowrankError (FormatError) on entries that are damaged or of another shape, naming them, and where no four-bit weight of the file
 * is one of the model's
 */
export async function loadFourBit(
  model: Module,
  reader: TensorReader,
  device: Device,
  options: LoadFourBitOptions = {},
): Promise<string[]> {
  const { nameOf = (name: string): string => name, ...read } = checkOptions("loadFourBit", LOAD_OPTIONS, options);
  const held = entriesOf(reader.names);
  const loaded: string[] = [];
  const wanted: string[] = [];
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof Projection)) continue;
    const stored = nameOf(`${path}.weight`);
    wanted.push(stored);
    const own = held.get(stored);
    if (own === undefined || module.weight.materialized) continue;
    if (!isFourBit(stored, own))
      throw new LowrankError("FormatError", `${stored}: its quant_state is not bitsandbytes'`);
    const entries = new Map<string, StoredTensor>();
    for (const name of own) entries.set(name, await reader.read(name));
    const state = fromEntries(stored, entries, read);
    const shape = [module.outFeatures, module.inFeatures];
    if (state.shape.join() !== shape.join())
      throw new LowrankError(
        "FormatError",
        `${stored}: the file has [${state.shape.join(", ")}] in four bits, the model wants [${shape.join(", ")}]`,
      );
    module.weight.form = new FourBitWeight(device, state, module.fanInFanOut);
    loaded.push(`${path}.weight`);
  }
  if (loaded.length === 0) {
    const [first] = held.keys();
    throw new LowrankError(
      "FormatError",
      first === undefined
        ? "loadFourBit: the file holds no weight in four bits; weights at full width or in eight bits are not its business"
        : `loadFourBit: none of the file's ${held.size} four-bit weights is one of the model's: it has ${quote(first)}${suggestion(first, wanted.slice(0, 50))}`,
    );
  }
  return loaded;
}

/** Names of each four-bit weight's entries, by the weight's name. */
function entriesOf(names: readonly string[]): Map<string, string[]> {
  const held = new Map(
    names
      .filter((n) => n.includes(".quant_state."))
      .map((n): [string, string[]] => [n.slice(0, n.indexOf(".quant_state.")), []]),
  );
  for (const name of names) {
    // a weight's own entry, or one under its name: `weight.absmax`, `weight.quant_state.…`
    for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) held.get(name.slice(0, end))?.push(name);
  }
  return held;
}
