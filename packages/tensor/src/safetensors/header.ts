/**
 * The safetensors header: u64 length, JSON, then tensor bytes. Everything is checked before anything is trusted: a malformed file
 * gives a FormatError, and what is allocated is in proportion to the file.
 */
import {
  absent,
  checkFile,
  fields,
  leaf,
  listOf,
  mapOf,
  name as filledText,
  parseJson,
  text,
  type Rule,
} from "../check/index.ts";
import { FormatError, quote } from "../errors.ts";
import { tryDecodeUtf8 } from "../utf8.ts";
import { MAX_RANK, scanHeader } from "./header-scan.ts";

/** Dtypes in files, with bits per element, in the order HF writes them. One that is not here is listed, and refused when it is read. */
export const FILE_DTYPES: Readonly<Record<string, number>> = {
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
  F32: 32,
  U32: 32,
  I32: 32,
  BF16: 16,
  F16: 16,
  U16: 16,
  I16: 16,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  I8: 8,
  U8: 8,
  F6_E3M2: 6,
  F6_E2M3: 6,
  F4: 4,
  BOOL: 8,
};

/** The limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Where its bytes are in the file, from its beginning. */
  readonly begin: number;
  readonly end: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where tensor bytes start. */
  readonly dataStart: number;
}

interface FileEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly number[];
}

const count: Rule<number> = leaf(
  "a whole number that is not negative",
  (v) => Number.isSafeInteger(v) && (v as number) >= 0,
);
const ENTRY: Rule<FileEntry> = fields<FileEntry>(
  { dtype: filledText, shape: listOf(count, { max: MAX_RANK }), data_offsets: listOf(count, { min: 2, max: 2 }) },
  { unknown: "keep" },
);
const METADATA: Rule<Record<string, string> | undefined> = absent(mapOf(text));

/** Length of the JSON from the first 8 bytes. */
export function headerLength(first: Uint8Array, fileSize: number): number {
  if (first.length < 8)
    throw new FormatError(
      `safetensors: a file of ${fileSize} bytes is too short for a header; it is probably not a safetensors file or was cut off`,
    );
  const view = new DataView(first.buffer, first.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new FormatError(
      `safetensors: header of ${length} bytes is over the limit of ${MAX_HEADER_BYTES}; this is not a safetensors file`,
    );
  if (8 + Number(length) > fileSize)
    throw new FormatError(
      `safetensors: header of ${length} bytes does not fit a file of ${fileSize} bytes; the file was cut off`,
    );
  return Number(length);
}

/** Parses the JSON part; `dataStart` is 8 + its length. */
export function parseHeader(json: Uint8Array, fileSize: number): SafetensorsHeader {
  const dataStart = 8 + json.length;
  const keys = scanHeader(json, fileSize);
  const parsed = parseJson(decode(json), "safetensors header") as Record<string, unknown>;
  let metadata: Readonly<Record<string, string>> = {};
  const entries = new Map<string, TensorEntry>();
  let kept = 0;
  for (const name of Object.keys(parsed)) {
    const value = parsed[name];
    if (name === "__metadata__") metadata = checkFile("safetensors: __metadata__", METADATA, value) ?? {};
    else entries.set(name, readEntry(name, value, dataStart, fileSize));
    kept += 1 + Object.keys(value ?? {}).length;
  }
  // JSON.parse keeps the last of two equal keys
  if (kept !== keys)
    throw new FormatError(
      "safetensors: the header has the same key twice: a tensor is named twice, or says one thing twice",
    );
  checkLayout([...entries.values()], dataStart, fileSize);
  return { entries, metadata, dataStart };
}

function decode(json: Uint8Array): string {
  const text = tryDecodeUtf8(json);
  if (text === undefined) throw new FormatError("safetensors: the header is not valid UTF-8");
  return text;
}

function readEntry(name: string, value: unknown, dataStart: number, fileSize: number): TensorEntry {
  const source = `safetensors: tensor ${quote(name)}`;
  const {
    dtype,
    shape,
    data_offsets: [from, to],
  } = checkFile(source, ENTRY, value) as FileEntry & { readonly data_offsets: readonly [number, number] };
  const fail = (what: string): never => {
    throw new FormatError(`${source}: ${what}`);
  };
  if (from > to || dataStart + to > fileSize)
    return fail(`data_offsets [${from}, ${to}] do not fit a file with ${fileSize - dataStart} bytes of data`);
  const bits = FILE_DTYPES[dtype];
  if (bits !== undefined) {
    const bytes = Math.ceil((elements(shape, fail) * bits) / 8);
    if (bytes !== to - from)
      return fail(`${dtype} [${shape.join(", ")}] needs ${bytes} bytes, data_offsets give ${to - from}`);
  }
  return { name, dtype, shape, begin: dataStart + from, end: dataStart + to, bytes: to - from };
}

/** Their product; each step may overflow, whatever comes after. */
function elements(shape: readonly number[], fail: (what: string) => never): number {
  let n = 1;
  for (const d of shape) {
    n *= d;
    // times 64 bits, it is still exact
    if (n > Number.MAX_SAFE_INTEGER / 64) fail(`shape [${shape.join(", ")}] is too large`);
  }
  return n;
}

/** Tensors lie end to end: no overlap, no hole, nothing after the last. */
function checkLayout(entries: readonly TensorEntry[], dataStart: number, fileSize: number): void {
  let at = dataStart;
  for (const e of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (e.begin !== at)
      throw new FormatError(
        `safetensors: tensor ${quote(e.name)} ${e.begin < at ? "overlaps the tensor before it" : `leaves a hole of ${e.begin - at} bytes before it`}`,
      );
    at = e.end;
  }
  if (at !== fileSize)
    throw new FormatError(`safetensors: ${fileSize - at} bytes after the last tensor belong to nothing`);
}
