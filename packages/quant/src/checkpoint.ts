/** Whole checkpoints in four bits: made tensor by tensor from one at full width, loaded into a model and saved from it. */
import { Projection, type Module, type Weight } from "@lowrank/nn";
import { LowrankError, toMemory, writeSafetensors, type ByteSink, type Device, type DType, type StoredTensor, type TensorPlan } from "@lowrank/tensor";
import { fromEntries, isFourBit, toEntries } from "./bnb-file.ts";
import { FourBitWeight } from "./four-bit.ts";
import { transposeOf } from "./format.ts";
import { quantiseFourBit, type FourBitOptions } from "./state.ts";

/** What a SafetensorsFile is to this module. */
export interface TensorReader {
  readonly names: readonly string[];
  info(name: string): { readonly dtype: string; readonly shape: readonly number[] };
  read(name: string): Promise<StoredTensor>;
}

export interface QuantiseCheckpointOptions extends FourBitOptions {
  /** Whether a tensor is quantised; "transposed" where it lies [in, out] and is turned to [out, in] first. See `selectFrom`. */
  readonly select: (name: string, shape: readonly number[]) => boolean | "transposed";
}

/** One tensor of the source and what became of it. */
export interface CheckpointPart {
  readonly name: string;
  readonly quantised: boolean;
  /** By name in the new file: one tensor as it was, or codes with their scales and tables. */
  readonly entries: ReadonlyMap<string, StoredTensor>;
}

const TORCH_NAMES: Partial<Record<DType, string>> = { f64: "float64", f32: "float32", f16: "float16", bf16: "bfloat16" };

/** The choice of a plan, for names of its model: `selectFrom(planQuantisation(model))`. */
export function selectFrom({ modules }: { readonly modules: ReadonlyMap<string, { readonly transposed: boolean }> }): QuantiseCheckpointOptions["select"] {
  return (name) => {
    const format = name.endsWith(".weight") ? modules.get(name.slice(0, -".weight".length)) : undefined;
    return format === undefined ? false : format.transposed ? "transposed" : true;
  };
}

/**
 * Reads, quantises and yields one tensor at a time and keeps none, so that a consumer who does the same holds one at full width.
 * @throws NumericsError naming the tensor and element that is not finite
 */
export async function* quantiseCheckpoint(reader: TensorReader, options: QuantiseCheckpointOptions): AsyncGenerator<CheckpointPart, void, undefined> {
  for (const name of reader.names) yield await quantisePart(reader, name, options);
}

async function quantisePart(reader: TensorReader, name: string, options: QuantiseCheckpointOptions): Promise<CheckpointPart> {
  const how = options.select(name, reader.info(name).shape);
  const stored = await reader.read(name);
  if (how === false) return { name, quantised: false, entries: new Map([[name, stored]]) };
  const sourceDType = TORCH_NAMES[stored.dtype];
  if (sourceDType === undefined) throw new LowrankError("QuantisationError", `${name} is ${stored.dtype}; only floats can be quantised`);
  if (how === "transposed" && stored.shape.length !== 2) throw new LowrankError("QuantisationError", `${name} is [${stored.shape.join(", ")}]; only matrices can be transposed`);
  let values = toMemory("f32", stored.data, stored.dtype) as Float32Array;
  let { shape } = stored;
  if (how === "transposed") {
    values = transposeOf(values, shape[0]!, shape[1]!);
    shape = [shape[1]!, shape[0]!];
  }
  return { name, quantised: true, entries: toEntries(name, quantiseFourBit(values, shape, options, name, sourceDType)) };
}

const READ_AS: Readonly<Record<string, DType>> = { F64: "f64", F32: "f32", F16: "f16", BF16: "bf16", I64: "i32", I32: "i32", U32: "u32", U8: "u8", BOOL: "bool" };

/**
 * Writes a four-bit copy of a checkpoint. The four-bit parts are held until the header is written, since a header says the length of
 * everything; what is not quantised is read again when its turn comes.
 * @returns names of the tensors that were quantised
 */
export async function writeQuantisedCheckpoint(reader: TensorReader, sink: ByteSink, options: QuantiseCheckpointOptions): Promise<string[]> {
  const done: string[] = [];
  const parts: Part[] = [];
  for (const name of reader.names) {
    const { dtype, shape } = reader.info(name);
    if (options.select(name, shape) === false) {
      const as = READ_AS[dtype];
      if (as === undefined) throw new LowrankError("FormatError", `${name} is ${dtype}, which cannot be copied`);
      parts.push([name, { dtype: as, shape, load: () => reader.read(name) }]);
      continue;
    }
    done.push(name);
    for (const [key, tensor] of (await quantisePart(reader, name, options)).entries) parts.push(held(key, tensor));
  }
  await writeParts(sink, parts);
  return done;
}

/** Writes a model: weights in four bits with bitsandbytes' entries, all others as they are stored. Weights with two names are written once. */
export async function writeQuantisedModel(model: Module, sink: ByteSink): Promise<void> {
  const seen = new Set<Weight>();
  const parts: Part[] = [];
  for (const [name, weight] of model.namedWeights()) {
    if (seen.has(weight)) continue;
    seen.add(weight);
    const { form } = weight;
    if (form instanceof FourBitWeight) for (const [key, tensor] of toEntries(name, await form.read())) parts.push(held(key, tensor));
    else if (form !== undefined) throw new LowrankError("FormatError", `${name} is kept as ${form.kind}; only nf4 and fp4 can be written`);
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

/**
 * Gives each projection whose weight `reader` holds in four bits its codes and scales as they are in the file; `materialize` then fills
 * the rest. To be called before it.
 * @param nameOf name in the file of a weight of the model. Default: the same
 * @returns names of the weights, in the model
 * @throws LowrankError (FormatError) on entries that are damaged or of another shape, naming them
 */
export async function loadFourBit(model: Module, reader: TensorReader, device: Device, nameOf: (name: string) => string = (name) => name): Promise<string[]> {
  const stateOf = new Set(reader.names.filter((n) => n.includes(".quant_state.")).map((n) => n.slice(0, n.indexOf(".quant_state."))));
  const loaded: string[] = [];
  for (const [path, module] of model.namedModules()) {
    const stored = nameOf(`${path}.weight`);
    if (!(module instanceof Projection) || !stateOf.has(stored) || module.weight.materialized) continue;
    const own = reader.names.filter((n) => n === stored || n.startsWith(`${stored}.`));
    if (!isFourBit(stored, own)) throw new LowrankError("FormatError", `${stored}: its quant_state is not bitsandbytes'`);
    const entries = new Map<string, StoredTensor>();
    for (const name of own) entries.set(name, await reader.read(name));
    const state = fromEntries(stored, entries);
    const wanted = [module.outFeatures, module.inFeatures];
    if (state.shape.join() !== wanted.join()) throw new LowrankError("FormatError", `${stored}: the file has [${state.shape.join(", ")}] in four bits, the model wants [${wanted.join(", ")}]`);
    module.weight.form = new FourBitWeight(device, state, module.fanInFanOut);
    loaded.push(`${path}.weight`);
  }
  return loaded;
}
