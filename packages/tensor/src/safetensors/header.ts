/**
 * The safetensors header: u64 length, JSON, then tensor bytes. Everything is checked before anything is trusted: a malformed file
 * gives a FormatError and never an allocation beyond the file's own size.
 */
import { FormatError } from "../errors.ts";

/** Dtypes in files, with bytes per element, in the order HF writes them. */
export const FILE_DTYPES: Readonly<Record<string, number>> = {
  U64: 8, I64: 8, F64: 8, F32: 4, U32: 4, I32: 4, BF16: 2, F16: 2, U16: 2, I16: 2, F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1, BOOL: 1,
};

/** The limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes in the file, from its beginning. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where tensor bytes start. */
  readonly dataStart: number;
}

/** Length of the JSON from the first 8 bytes. */
export function headerLength(first: Uint8Array, fileSize: number): number {
  if (first.length < 8) throw new FormatError(`safetensors: a file of ${fileSize} bytes is too short for a header; it is probably not a safetensors file or was cut off`);
  const view = new DataView(first.buffer, first.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) throw new FormatError(`safetensors: header of ${length} bytes is over the limit of ${MAX_HEADER_BYTES}; this is not a safetensors file`);
  if (8 + Number(length) > fileSize) throw new FormatError(`safetensors: header of ${length} bytes does not fit a file of ${fileSize} bytes; the file was cut off`);
  return Number(length);
}

/** Parses the JSON part; `dataStart` is 8 + its length. */
export function parseHeader(json: Uint8Array, fileSize: number): SafetensorsHeader {
  const dataStart = 8 + json.length;
  const parsed = parseJson(json);
  const metadata: Record<string, string> = {};
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(parsed)) {
    if (name === "__metadata__") {
      for (const [k, v] of Object.entries(asObject(value, "__metadata__"))) {
        if (typeof v !== "string") throw new FormatError(`safetensors: metadata "${k}" must be a string`);
        metadata[k] = v;
      }
    } else {
      entries.set(name, parseEntry(name, value, dataStart, fileSize));
    }
  }
  checkLayout([...entries.values()], dataStart, fileSize);
  return { entries, metadata, dataStart };
}

interface TextDecoderLike { decode(bytes: Uint8Array): string }
const { TextDecoder } = globalThis as unknown as { TextDecoder: new (encoding: string, options: { fatal: boolean }) => TextDecoderLike };

function parseJson(json: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(json);
  } catch (cause) {
    throw new FormatError("safetensors: the header is not valid UTF-8", { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`safetensors: the header is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  const object = asObject(value, "the header");
  checkDuplicates(text, object);
  return object;
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FormatError(`safetensors: ${what} must be a JSON object`);
  return value as Record<string, unknown>;
}

/** JSON.parse keeps the last of two equal keys; a file with two is damaged or hostile. Counts the keys at depth 1. */
function checkDuplicates(text: string, object: Record<string, unknown>): void {
  let depth = 0;
  let keys = 0;
  for (let i = 0; i < text.length; i++) {
    const ch = text[i];
    if (ch === '"') {
      let j = i + 1;
      while (text[j] !== '"') j += text[j] === "\\" ? 2 : 1;
      let after = j + 1;
      while (/\s/.test(text[after] ?? "")) after++;
      if (depth === 1 && text[after] === ":") keys++;
      i = j;
    } else if (ch === "{" || ch === "[") depth++;
    else if (ch === "}" || ch === "]") depth--;
  }
  if (keys !== Object.keys(object).length) throw new FormatError("safetensors: the header names a tensor twice");
}

function parseEntry(name: string, value: unknown, dataStart: number, fileSize: number): TensorEntry {
  const fail = (what: string): never => { throw new FormatError(`safetensors: tensor "${name}": ${what}`); };
  const entry = asObject(value, `tensor "${name}"`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const itemBytes = typeof dtype === "string" ? FILE_DTYPES[dtype] : undefined;
  if (typeof dtype !== "string" || itemBytes === undefined) return fail(`unknown dtype ${JSON.stringify(dtype)}; known are ${Object.keys(FILE_DTYPES).join(", ")}`);
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) return fail(`shape must be a list of non-negative integers, got ${JSON.stringify(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every((o) => Number.isSafeInteger(o) && o >= 0)) return fail(`data_offsets must be two non-negative integers, got ${JSON.stringify(offsets)}`);
  const [from, to] = offsets as [number, number];
  if (from > to || dataStart + to > fileSize) return fail(`data_offsets [${from}, ${to}] do not fit a file with ${fileSize - dataStart} bytes of data`);
  let bytes = itemBytes;
  for (const d of shape as number[]) {
    bytes *= d;
    if (!Number.isSafeInteger(bytes)) return fail(`shape [${shape.join(", ")}] is too large`);
  }
  if (bytes !== to - from) return fail(`${dtype} [${shape.join(", ")}] needs ${bytes} bytes, data_offsets give ${to - from}`);
  return { name, dtype, shape: shape as number[], begin: dataStart + from, end: dataStart + to };
}

/** Tensors lie end to end: no overlap, no hole, nothing after the last. */
function checkLayout(entries: readonly TensorEntry[], dataStart: number, fileSize: number): void {
  let at = dataStart;
  for (const e of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (e.begin !== at) throw new FormatError(`safetensors: tensor "${e.name}" ${e.begin < at ? "overlaps the tensor before it" : `leaves a hole of ${e.begin - at} bytes before it`}`);
    at = e.end;
  }
  if (at !== fileSize) throw new FormatError(`safetensors: ${fileSize - at} bytes after the last tensor belong to nothing`);
}
