/**
 * Where tensors are: names, what a file says of each, and their bytes by range. A source knows nothing of what bytes mean; that is a
 * format's business (`Format` of @lowrank/nn). One file is a source, and so are the shards of one, or a map in memory.
 */
import { bytesOf, dtypes, viewAs, type DType, type TypedArray } from "../dtype.ts";
import { DTypeError, FormatError, quote } from "../errors.ts";
import { checkDType, hostValue } from "../host-values.ts";
import { sizeOf } from "../shape.ts";

/** A tensor in host memory; f16 and bf16 as raw bits. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

export interface TensorInfo {
  /** The element type in the file's own words: "F32", "I8". */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Length of the tensor's bytes. */
  readonly bytes: number;
}

export interface TensorSource {
  /** What it is called in messages: a file, or a kind of file. */
  readonly where?: string;
  readonly names: readonly string[];
  has(name: string): boolean;
  /** @throws FormatError naming what there is instead */
  info(name: string): TensorInfo;
  /** Bytes [begin, end) of a tensor; all of them by default. At an address that any typed array may begin at. */
  range(name: string, begin?: number, end?: number): Promise<Uint8Array>;
}

/** Element types that are numbers of the engine, as safetensors names them. */
export const PLAIN: Readonly<Record<string, DType>> = {
  F64: "f64",
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  I32: "i32",
  U32: "u32",
  U8: "u8",
  BOOL: "bool",
};

export const PLAIN_NAMES: Readonly<Record<DType, string>> = Object.fromEntries(
  Object.entries(PLAIN).map(([name, dtype]) => [dtype, name]),
) as Record<DType, string>;

/** One tensor of plain numbers. I64 comes as i32 when every value fits; dtypes the engine has no use for are refused by name, before anything is read. */
export async function readTensor(source: TensorSource, name: string): Promise<StoredTensor> {
  const { dtype, shape } = source.info(name);
  const readable = PLAIN[dtype];
  if (readable === undefined && dtype !== "I64")
    throw new FormatError(
      `${whereOf(source)}: tensor ${quote(name)} is ${quote(dtype)}, which cannot be read here; convert it to one of ${Object.keys(PLAIN).join(", ")}, or leave it out`,
    );
  const bytes = await source.range(name);
  if (readable === undefined)
    return { dtype: "i32", shape, data: narrowInt64(`${whereOf(source)}: tensor ${quote(name)}`, bytes) };
  if (readable === "bool" && bytes.some((b) => b > 1))
    throw new FormatError(
      `${whereOf(source)}: tensor ${quote(name)} is BOOL and holds ${bytes.find((b) => b > 1)}; only 0 and 1 are`,
    );
  return { dtype: readable, shape, data: viewAs(readable, bytes) };
}

/**
 * Tensors in memory as a source.
 * @throws ShapeError, DTypeError naming a tensor whose values do not fill its shape, or are not held as its dtype is
 */
export function fromTensors(
  tensors: ReadonlyMap<string, StoredTensor> | Readonly<Record<string, StoredTensor>>,
): TensorSource {
  const map =
    tensors instanceof Map ? (tensors as ReadonlyMap<string, StoredTensor>) : new Map(Object.entries(tensors));
  for (const [name, { dtype, shape, data }] of map.entries() as Iterable<[string, StoredTensor]>) {
    const what = `fromTensors: ${quote(name)}`;
    checkDType(what, dtype);
    if (!(data instanceof dtypes[dtype].array))
      throw new DTypeError(`${what} is ${dtype}, which is held in a ${dtypes[dtype].array.name}`);
    hostValue(what, dtype, shape, data, dtype);
  }
  const held = (name: string): StoredTensor => {
    const tensor = map.get(name);
    if (tensor === undefined) throw noSuchTensor("fromTensors", name, [...map.keys()]);
    return tensor;
  };
  return {
    where: "fromTensors",
    names: [...map.keys()],
    has: (name) => map.has(name),
    info(name) {
      const { dtype, shape } = held(name);
      return { dtype: PLAIN_NAMES[dtype], shape, bytes: sizeOf(shape) * bytesOf(dtype) };
    },
    async range(name, begin, end) {
      const { data } = held(name);
      return Uint8Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength).subarray(begin, end));
    },
  };
}

function whereOf({ where = "tensors" }: TensorSource): string {
  return where;
}

export function noSuchTensor(where: string, name: string, names: readonly string[]): FormatError {
  return new FormatError(
    `${where}: there is no tensor ${quote(name)}; there are ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`,
  );
}

/** The lower halves, where the upper ones are nothing but their sign. */
function narrowInt64(what: string, bytes: Uint8Array): Int32Array {
  const halves = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return Int32Array.from({ length: halves.length / 2 }, (_, i) => {
    const low = halves[2 * i]!;
    if (halves[2 * i + 1]! !== low >> 31)
      throw new FormatError(
        `${what} holds ${(BigInt(halves[2 * i + 1]!) << 32n) | BigInt(low >>> 0)}, which does not fit 32 bits`,
      );
    return low;
  });
}
