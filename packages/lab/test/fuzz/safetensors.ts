/** safetensors: headers around bytes, read by a second, naive reader too. */
import { fromBytes, SafetensorsFile, serialize, type StoredTensor } from "@lowrank/tensor";
import { textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, mutateBytes, type Json } from "./mutate.ts";
const TENSORS: Readonly<Record<string, StoredTensor>> = {
  a: { dtype: "f32", shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) },
  "b.weight": { dtype: "f16", shape: [4], data: Uint16Array.of(1, 2, 3, 4) },
  empty: { dtype: "f32", shape: [0, 3], data: new Float32Array() },
  scalar: { dtype: "i32", shape: [], data: Int32Array.of(7) },
  flags: { dtype: "bool", shape: [3], data: Uint8Array.of(0, 1, 1) },
};
export const SOUND = serialize(TENSORS);
const HEADER_END = 8 + Number(new DataView(SOUND.buffer, SOUND.byteOffset).getBigUint64(0, true));
const HEADER = JSON.parse(textOf(SOUND.subarray(8, HEADER_END))) as Json;

/** A header around bytes. */
function safetensors(header: Uint8Array, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + header.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(data, 8 + header.length);
  return out;
}

const WIDTHS: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** A second, naive reader: why the file is not what the format says, for dtypes that it knows. */
function unsound(bytes: Uint8Array): string | undefined {
  if (bytes.length < 8) return "it is shorter than a length";
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > bytes.length - 8) return "the header is longer than the file";
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)),
    ) as typeof header;
  } catch {
    return "the header is not JSON";
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) return "the header is no object";
  const spans: [number, number][] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (
      typeof entry !== "object" ||
      entry === null ||
      !Array.isArray(entry.shape) ||
      !Array.isArray(entry.data_offsets) ||
      entry.data_offsets.length !== 2
    )
      return `${name} is no entry`;
    if (![...entry.shape, ...entry.data_offsets].every((n) => Number.isSafeInteger(n) && n >= 0))
      return `${name} has a size that is none`;
    const [begin, end] = entry.data_offsets as [number, number];
    if (end < begin || end > bytes.length - 8 - length) return `${name} lies outside`;
    const width = WIDTHS[entry.dtype];
    if (width !== undefined && entry.shape.reduce((product, n) => product * n, width) !== end - begin)
      return `${name} has another size than its shape`;
    spans.push([begin, end]);
  }
  spans.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  let at = 0;
  for (const [begin, end] of spans) {
    if (begin !== at) return "there are gaps or overlaps";
    at = end;
  }
  return at === bytes.length - 8 - length ? undefined : "bytes are left over";
}

export const safetensorsFile: FuzzFormat = {
  name: "safetensors",
  draw(random) {
    const data = SOUND.subarray(HEADER_END);
    switch (random.integer(4)) {
      case 0:
        return mutateBytes(SOUND, random);
      case 1:
        return mutateBytes(safetensors(damaged(HEADER, random), data), random);
      default:
        return safetensors(damaged(HEADER, random), data);
    }
  },
  async read(bytes) {
    const file = await SafetensorsFile.open(fromBytes(bytes));
    for (const name of file.names)
      if (Object.hasOwn(WIDTHS, file.info(name).dtype) && !/^(I8|I16|U16|U64|F8)/.test(file.info(name).dtype))
        await file.read(name);
    return file;
  },
  senseless: (bytes) => unsound(bytes),
};
