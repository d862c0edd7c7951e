/** Whole checkpoints in four bits, made tensor by tensor from one at full width. */
import {
  transposeOf,
  LowrankError,
  quote,
  readTensor,
  toMemory,
  writeSafetensors,
  type ByteSink,
  type DType,
  type StoredTensor,
  type TensorPlan,
  type TensorSource,
} from "@lowrank/tensor";
import { callback, checkOptions, fields, type Rule } from "@lowrank/tensor/check";
import { toEntries } from "./bnb-file.ts";
import { FOUR_BIT, FOUR_BIT_SPELT } from "./options.ts";
import { quantizeFourBit } from "./state.ts";
import type { FourBitOptions } from "./options.ts";

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
  source: TensorSource,
  options: QuantizeCheckpointOptions,
): AsyncGenerator<CheckpointPart, void, undefined> {
  const read = checkOptions("quantizeCheckpoint", OPTIONS, options);
  let done = 0;
  for (const name of source.names) {
    const part = await quantizePart(source, name, read);
    if (part.quantized) done++;
    yield part;
  }
  if (done === 0) nothingChosen("quantizeCheckpoint", source);
}

function nothingChosen(what: string, { names }: TensorSource): never {
  throw new LowrankError(
    "QuantizationError",
    `${what}: "select" chose none of the ${names.length} tensors; they are called ${names.slice(0, 3).map(quote).join(", ")}, …`,
  );
}

async function quantizePart(
  source: TensorSource,
  name: string,
  { select, ...format }: QuantizeCheckpointOptions,
): Promise<CheckpointPart> {
  const how = select(name, source.info(name).shape);
  const stored = await readTensor(source, name);
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
  source: TensorSource,
  sink: ByteSink,
  options: QuantizeCheckpointOptions,
): Promise<string[]> {
  const read = checkOptions("writeQuantizedCheckpoint", OPTIONS, options);
  const done: string[] = [];
  const parts: Part[] = [];
  for (const name of source.names) {
    const { dtype, shape } = source.info(name);
    if (read.select(name, shape) === false) {
      const as = READ_AS[dtype];
      if (as === undefined) throw new LowrankError("FormatError", `${name} is ${dtype}, which cannot be copied`);
      parts.push([name, { dtype: as, shape, load: () => readTensor(source, name) }]);
      continue;
    }
    done.push(name);
    for (const [key, tensor] of (await quantizePart(source, name, read)).entries) parts.push(held(key, tensor));
  }
  if (done.length === 0) nothingChosen("writeQuantizedCheckpoint", source);
  await writeParts(sink, parts);
  return done;
}

type Part = readonly [name: string, TensorPlan & { readonly load: () => Promise<StoredTensor> }];

function held(name: string, tensor: StoredTensor): Part {
  return [name, { dtype: tensor.dtype, shape: tensor.shape, load: () => Promise.resolve(tensor) }];
}

function writeParts(sink: ByteSink, parts: readonly Part[]): Promise<void> {
  const plan = new Map(parts);
  return writeSafetensors(sink, plan, (name) => plan.get(name)!.load());
}
