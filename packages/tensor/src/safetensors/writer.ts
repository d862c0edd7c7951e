/** Writing safetensors byte for byte as Hugging Face does: compact JSON padded to 8 bytes, entries by dtype rank and then by name. */
import { dtypes, type DType, type TypedArray } from "../dtype.ts";
import { FormatError, quote, ShapeError } from "../errors.ts";
import { sizeOf } from "../shape.ts";
import { encodeUtf8 } from "../utf8.ts";
import type { ByteSink } from "../files/store.ts";
import { PLAIN_NAMES } from "../files/tensor-source.ts";
import { FILE_DTYPES } from "./header.ts";

const RANK = new Map(Object.keys(FILE_DTYPES).map((name, i) => [name, i]));

/** What has to be known before the first byte is written. */
export interface TensorPlan {
  /** Signed bytes are in files only: no device computes in them. */
  readonly dtype: DType | "i8";
  readonly shape: readonly number[];
}

/** A tensor as it is written. */
export interface WrittenTensor extends TensorPlan {
  readonly data: TypedArray | Int8Array;
}

/** A tensor of a file to be: what its header says, and the numbers, which are asked for when their turn comes. */
export interface FileEntry extends TensorPlan {
  load(): Promise<WrittenTensor["data"]> | WrittenTensor["data"];
}

/**
 * Writes tensors one at a time; `load` is called in file order and only one tensor is in memory at once.
 * @param metadata default `{ format: "pt" }`, which transformers insists on
 */
export async function writeSafetensors(
  sink: ByteSink,
  plan: ReadonlyMap<string, TensorPlan>,
  load: (name: string) => Promise<WrittenTensor> | WrittenTensor,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const names = fileOrder(plan);
  await sink(headerBytes(plan, names, metadata));
  for (const name of names) {
    await sink(bytesOf(name, await load(name), plan.get(name)!));
  }
}

/** One file of these tensors. */
export function writeEntries(sink: ByteSink, entries: ReadonlyMap<string, FileEntry>): Promise<void> {
  return writeSafetensors(sink, entries, async (name) => {
    const entry = entries.get(name)!;
    return { dtype: entry.dtype, shape: entry.shape, data: await entry.load() };
  });
}

/** Bytes of a tensor in a file. */
export function entryBytes({ dtype, shape }: TensorPlan): number {
  return sizeOf(shape) * heldAs(dtype).bytes;
}

/** The whole file in memory. */
export function serialize(
  tensors: ReadonlyMap<string, WrittenTensor> | Readonly<Record<string, WrittenTensor>>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array {
  const map =
    tensors instanceof Map ? (tensors as ReadonlyMap<string, WrittenTensor>) : new Map(Object.entries(tensors));
  const names = fileOrder(map);
  const parts = [headerBytes(map, names, metadata), ...names.map((n) => bytesOf(n, map.get(n)!, map.get(n)!))];
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** @throws ShapeError where the numbers are not those that the header announces */
function bytesOf(name: string, { dtype, data }: WrittenTensor, wanted: TensorPlan): Uint8Array {
  if (dtype !== wanted.dtype || data.length !== sizeOf(wanted.shape) || !(data instanceof heldAs(dtype).array)) {
    throw new ShapeError(
      `safetensors: ${quote(name)} was announced as ${wanted.dtype} [${wanted.shape.join(", ")}] but has ${data.length} elements of ${dtype} in a ${data.constructor.name}`,
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** What holds numbers of a dtype. */
function heldAs(dtype: TensorPlan["dtype"]): {
  readonly bytes: number;
  readonly array: abstract new (buffer: ArrayBuffer) => object;
} {
  return dtype === "i8" ? { bytes: 1, array: Int8Array } : dtypes[dtype];
}

function nameOf(dtype: TensorPlan["dtype"]): string {
  return dtype === "i8" ? "I8" : PLAIN_NAMES[dtype];
}

function fileOrder(plan: ReadonlyMap<string, TensorPlan>): string[] {
  const rank = (name: string): number => RANK.get(nameOf(plan.get(name)!.dtype))!;
  return [...plan.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Names a reader would take for something else, or that UTF-8 cannot hold. */
function checkName(name: string): string {
  if (name === "__metadata__" || name === "__proto__")
    throw new FormatError(`safetensors: "${name}" is no name for a tensor`);
  if (/\p{Surrogate}/u.test(name))
    throw new FormatError(`safetensors: the name ${quote(name)} has half a character, which UTF-8 cannot hold`);
  return name;
}

function headerBytes(
  plan: ReadonlyMap<string, TensorPlan>,
  names: readonly string[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let offset = 0;
  // put together as text: an object would move names that are numbers to the front
  const entries = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  for (const [key, value] of Object.entries(metadata))
    if (typeof value !== "string")
      throw new FormatError(`safetensors: metadata ${quote(key)} must be a string, got ${quote(value)}`);
  for (const name of names) {
    const entry = plan.get(name)!;
    const end = offset + entryBytes(entry);
    entries.push(
      `${JSON.stringify(checkName(name))}:${JSON.stringify({ dtype: nameOf(entry.dtype), shape: entry.shape, data_offsets: [offset, end] })}`,
    );
    offset = end;
  }
  const json = encodeUtf8(`{${entries.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(json, 8);
  return out;
}
