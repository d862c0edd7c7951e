/**
 * The header of a GGUF file: "GGUF", version, counts, metadata, tensors; then, from a multiple of the alignment on, their bytes. Everything
 * is checked before anything is trusted: a malformed file gives a FormatError after a time and in memory in proportion to its size, whatever
 * lengths stand in it. Versions 2 and 3 differ in nothing that is read here. Source: ggml's docs/gguf.md.
 */
import { quote, type RandomAccess } from "@lowrank/tensor";
import { Cursor, fail } from "./cursor.ts";
import { ARRAY, TENSOR_TYPES, VALUE_NAMES, type TensorType } from "./types.ts";
import { MAX_KEY_BYTES, skipValue, stringBytes, utf8Of, ValueReader, type Entry } from "./values.ts";

const MAGIC = [0x47, 0x47, 0x55, 0x46];
const VERSIONS = [2, 3];
/** Each makes an object many times longer than its bytes. Files have some dozens, and some thousands of tensors. */
const MAX_ENTRIES = 1 << 14;
const MAX_TENSORS = 1 << 16;
/** The shortest entry: a key of one letter, its type, one byte; and the shortest tensor: name of one letter, no dimensions. */
const LEAST_ENTRY = 8 + 1 + 4 + 1;
const LEAST_TENSOR = 8 + 1 + 4 + 4 + 8;
const MAX_DIMENSIONS = 4;
const ALIGNMENT = "general.alignment";
const DEFAULT_ALIGNMENT = 32;
const U32 = VALUE_NAMES.indexOf("u32");

export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major, the row's length last: the file's dimensions the other way round. */
  readonly shape: readonly number[];
  readonly begin: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly littleEndian: boolean;
  readonly alignment: number;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly values: ValueReader;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where tensors begin. */
  readonly dataStart: number;
}

/** @throws FormatError on anything that is not a sound header of this file */
export async function readHeader(source: RandomAccess): Promise<GgufHeader> {
  const cursor = new Cursor(source);
  if (source.size < 24) fail(`a file of ${source.size} bytes is too short; it is no GGUF file or was cut off`);
  await cursor.load(24);
  if (cursor.bytes(4).some((byte, i) => byte !== MAGIC[i])) fail(`it does not begin with "GGUF": this is no GGUF file`);
  const version = versionOf(cursor);
  const [tensorCount, entryCount] = [cursor.u64(), cursor.u64()];
  const entries = await readEntries(cursor, entryCount);
  const described = await readTensors(cursor, tensorCount);
  const values = new ValueReader(cursor.before, cursor.littleEndian);
  const alignment = alignmentOf(entries, values);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = placed(described, dataStart, alignment, source.size);
  return { version, littleEndian: cursor.littleEndian, alignment, entries, values, tensors, dataStart };
}

/** The version's bytes tell big-endian files. */
function versionOf(cursor: Cursor): number {
  const version = cursor.u32();
  if (VERSIONS.includes(version)) return version;
  cursor.position -= 4;
  cursor.littleEndian = false;
  const swapped = cursor.u32();
  return VERSIONS.includes(swapped)
    ? swapped
    : fail(
        `it is of version ${version}; versions ${VERSIONS.join(" and ")} are read: write it again with a newer tool`,
      );
}

function requireCount(count: number, what: string, least: number, most: number, cursor: Cursor): void {
  if (count * least > cursor.left)
    fail(`it is to have ${count} ${what} of at least ${least} bytes, and has ${cursor.left} more bytes`);
  if (count > most) fail(`it has ${count} ${what}; at most ${most} are taken`);
}

async function readEntries(cursor: Cursor, count: number): Promise<ReadonlyMap<string, Entry>> {
  requireCount(count, "metadata entries", LEAST_ENTRY, MAX_ENTRIES, cursor);
  const entries = new Map<string, Entry>();
  for (let i = 0; i < count; i++) {
    const key = utf8Of(await stringBytes(cursor, `key ${i}`, MAX_KEY_BYTES), `key ${i}`);
    if (key === "") fail(`key ${i} is empty`);
    if (entries.has(key)) fail(`the key ${quote(key)} stands twice`);
    if (!cursor.has(4)) await cursor.load(4);
    const type = cursor.u32();
    entries.set(key, { type, at: cursor.position });
    await skipValue(cursor, type, quote(key));
  }
  return entries;
}

interface Described extends Omit<GgufTensor, "begin"> {
  readonly offset: number;
}

async function readTensors(cursor: Cursor, count: number): Promise<ReadonlyMap<string, Described>> {
  requireCount(count, "tensors", LEAST_TENSOR, MAX_TENSORS, cursor);
  const tensors = new Map<string, Described>();
  for (let i = 0; i < count; i++) {
    const name = utf8Of(await stringBytes(cursor, `the name of tensor ${i}`, MAX_KEY_BYTES), `the name of tensor ${i}`);
    if (name === "") fail(`the name of tensor ${i} is empty`);
    if (tensors.has(name)) fail(`the tensor ${quote(name)} stands twice`);
    tensors.set(name, await readTensorInfo(cursor, name));
  }
  return tensors;
}

async function readTensorInfo(cursor: Cursor, name: string): Promise<Described> {
  const what = `tensor ${quote(name)}`;
  if (!cursor.has(4)) await cursor.load(4);
  const rank = cursor.u32();
  if (rank > MAX_DIMENSIONS) fail(`${what} has ${rank} dimensions; at most ${MAX_DIMENSIONS} are`);
  const rest = 8 * rank + 12;
  if (!cursor.has(rest)) await cursor.load(rest);
  const dims = Array.from({ length: rank }, () => cursor.u64());
  const [number, offset] = [cursor.u32(), cursor.u64()];
  const type = TENSOR_TYPES.get(number);
  if (type === undefined) return fail(`${what} is of type ${number}, which there is not (or no longer)`);
  const size = dims.reduce((product, d) => {
    if (d === 0) fail(`${what} has a dimension of 0`);
    // one factor beyond is enough to be wrong, whatever comes after
    const next = product * d;
    return next <= Number.MAX_SAFE_INTEGER ? next : fail(`${what} [${dims.join(", ")}] is too large`);
  }, 1);
  const width = dims[0] ?? 1;
  if (width % type.elements !== 0)
    fail(`${what} is ${type.name} in rows of ${width}, which are no whole blocks of ${type.elements}`);
  const bytes = (size / type.elements) * type.bytes;
  if (bytes > cursor.size)
    fail(`${what} takes ${bytes} bytes, and the whole file is ${cursor.size} bytes long; it was cut off`);
  return { name, type, shape: dims.toReversed(), offset, bytes };
}

function alignmentOf(entries: ReadonlyMap<string, Entry>, values: ValueReader): number {
  const entry = entries.get(ALIGNMENT);
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type !== U32) fail(`${ALIGNMENT} is of type ${VALUE_NAMES[entry.type] ?? ARRAY}; it must be u32`);
  const alignment = values.read(entry, ALIGNMENT) as number;
  if (alignment < 8 || !Number.isInteger(Math.log2(alignment)))
    fail(`${ALIGNMENT} is ${alignment}; it must be a power of two, and at least 8`);
  return alignment;
}

/** Tensors at their places: aligned, inside the file, none over another. Gaps between them are nobody's. */
function placed(
  tensors: ReadonlyMap<string, Described>,
  dataStart: number,
  alignment: number,
  fileSize: number,
): ReadonlyMap<string, GgufTensor> {
  const out = new Map<string, GgufTensor>();
  for (const { name, type, shape, bytes, offset } of tensors.values()) {
    const begin = dataStart + offset;
    if (offset % alignment !== 0)
      fail(`tensor ${quote(name)} begins at offset ${offset}, which is no multiple of the alignment ${alignment}`);
    if (begin + bytes > fileSize)
      fail(
        `tensor ${quote(name)} lies at bytes ${begin} to ${begin + bytes}, and the file is ${fileSize} bytes long; it was cut off`,
      );
    out.set(name, { name, type, shape, bytes, begin });
  }
  let [end, before] = [0, ""];
  for (const { name, begin, bytes } of [...out.values()].sort((a, b) => a.begin - b.begin)) {
    if (begin < end) fail(`tensors ${quote(before)} and ${quote(name)} share bytes`);
    [end, before] = [begin + bytes, name];
  }
  return out;
}
