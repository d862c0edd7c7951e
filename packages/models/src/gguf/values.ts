/** Metadata of a GGUF file. The header is walked through once, so that every length in it is known to be right; a value is made when it is asked for. */
import { FormatError, quote } from "@lowrank/tensor";
import { fail, type Cursor } from "./cursor.ts";
import { ARRAY, BOOL, STRING, VALUE_NAMES, VALUE_SIZES, type ValueKind } from "./types.ts";

/** 64-bit integers are numbers where these hold them. Arrays of narrower numbers are typed arrays. */
export type GgufValue =
  | number
  | bigint
  | boolean
  | string
  | readonly GgufValue[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** A value with what tells its type in a file: the kind of a number, and of an array's items, also where there are none. */
export type GgufTyped =
  | { readonly kind: Exclude<ValueKind, "array">; readonly value: number | bigint | boolean | string }
  | {
      readonly kind: "array";
      readonly of: Exclude<ValueKind, "array">;
      readonly value: ArrayLike<number | bigint | boolean | string>;
    }
  | { readonly kind: "array"; readonly of: "array"; readonly value: readonly GgufTyped[] };

/** Arrays of arrays go so deep; nobody has written any. */
const MAX_DEPTH = 8;
/** The shortest value of each kind that has no size: the length of a string, type and length of an array. */
const LEAST_STRING = 8;
const LEAST_ARRAY = 12;
export const MAX_KEY_BYTES = 65_535;

interface Decoder {
  decode(bytes: Uint8Array): string;
}
const { TextDecoder } = globalThis as unknown as {
  TextDecoder: new (encoding: string, options: { fatal: boolean; ignoreBOM: boolean }) => Decoder;
};
// a token may well be U+FEFF
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8Of(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new FormatError(`GGUF: ${what} is not UTF-8`, { cause });
  }
}

/** A string's bytes: u64 length, then so many. */
export async function stringBytes(cursor: Cursor, what: string, most: number = Infinity): Promise<Uint8Array> {
  if (!cursor.has(8)) await cursor.load(8);
  const length = cursor.u64();
  if (length > cursor.left) fail(`${what} is to be ${length} bytes long, and the file has ${cursor.left} more`);
  if (length > most) fail(`${what} is ${length} bytes long; at most ${most} are taken`);
  if (!cursor.has(length)) await cursor.load(length);
  return cursor.bytes(length);
}

export interface Entry {
  readonly type: number;
  /** Where its value begins in the header. */
  readonly at: number;
}

/** Passes over a value, and checks what lengths and types it is made of. */
export async function skipValue(cursor: Cursor, type: number, what: string, depth: number = 0): Promise<void> {
  const size = VALUE_SIZES[type];
  if (size !== undefined) {
    if (!cursor.has(size)) await cursor.load(size);
    const [byte] = cursor.bytes(size);
    if (type === BOOL && byte! > 1) fail(`${what} is a bool and holds ${byte}; only 0 and 1 are`);
  } else if (type === STRING) {
    await stringBytes(cursor, what);
  } else if (type === ARRAY) {
    if (depth === MAX_DEPTH) fail(`${what} is nested deeper than ${MAX_DEPTH} arrays`);
    if (!cursor.has(LEAST_ARRAY)) await cursor.load(LEAST_ARRAY);
    const [item, count] = [cursor.u32(), cursor.u64()];
    requireType(item, what);
    const each = VALUE_SIZES[item] ?? (item === STRING ? LEAST_STRING : LEAST_ARRAY);
    if (count * each > cursor.left)
      fail(`${what} is to have ${count} values of at least ${each} bytes, and the file has ${cursor.left} more bytes`);
    if (VALUE_SIZES[item] !== undefined) {
      const length = count * each;
      if (!cursor.has(length)) await cursor.load(length);
      cursor.position += length;
    } else for (let i = 0; i < count; i++) await skipValue(cursor, item, what, depth + 1);
  } else requireType(type, what);
}

function requireType(type: number, what: string): void {
  if (VALUE_NAMES[type] === undefined) fail(`${what} is of type ${type}, which there is not`);
}

type ArrayKind = new (
  length: number,
) => Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
const ARRAYS: Partial<Record<ValueKind, ArrayKind>> = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
};

/** Values out of a header that `skipValue` has passed. */
export class ValueReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #littleEndian: boolean;

  constructor(bytes: Uint8Array, littleEndian: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#littleEndian = littleEndian;
  }

  /** @throws FormatError where a string is not UTF-8, or a bool is neither 0 nor 1 */
  read({ type, at }: Entry, key: string): GgufValue {
    return this.#read(type, at, quote(key)).value;
  }

  /** The value with its type. @throws as `read` does */
  typed({ type, at }: Entry, key: string): GgufTyped {
    return this.#typed(type, at, quote(key)).value;
  }

  #typed(type: number, at: number, what: string): { value: GgufTyped; end: number } {
    if (type !== ARRAY) {
      const { value, end } = this.#read(type, at, what);
      return { value: { kind: VALUE_NAMES[type]!, value } as GgufTyped, end };
    }
    const item = this.#view.getUint32(at, this.#littleEndian);
    if (item !== ARRAY) {
      const { value, end } = this.#read(type, at, what);
      return { value: { kind: "array", of: VALUE_NAMES[item]!, value } as GgufTyped, end };
    }
    let end = at + 12;
    const value = Array.from({ length: this.#length(at + 4) }, () => {
      const next = this.#typed(ARRAY, end, what);
      end = next.end;
      return next.value;
    });
    return { value: { kind: "array", of: "array", value }, end };
  }

  #read(type: number, at: number, what: string): { value: GgufValue; end: number } {
    const size = VALUE_SIZES[type];
    if (size !== undefined) return { value: this.#scalar(VALUE_NAMES[type]!, at, what), end: at + size };
    if (type === STRING) {
      const [from, end] = [at + 8, at + 8 + this.#length(at)];
      return { value: utf8Of(this.#bytes.subarray(from, end), what), end };
    }
    const item = this.#view.getUint32(at, this.#littleEndian);
    const count = this.#length(at + 4);
    let end = at + 12;
    const array = ARRAYS[VALUE_NAMES[item]!];
    const values: GgufValue[] | InstanceType<ArrayKind> = array === undefined ? [] : new array(count);
    for (let i = 0; i < count; i++) {
      const next = this.#read(item, end, what);
      (values as GgufValue[])[i] = next.value;
      end = next.end;
    }
    return { value: values, end };
  }

  #length(at: number): number {
    return Number(this.#view.getBigUint64(at, this.#littleEndian));
  }

  #scalar(kind: ValueKind, at: number, what: string): GgufValue {
    const [view, little] = [this.#view, this.#littleEndian];
    const exact = (value: bigint): number | bigint =>
      value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
    switch (kind) {
      case "u8":
        return view.getUint8(at);
      case "i8":
        return view.getInt8(at);
      case "u16":
        return view.getUint16(at, little);
      case "i16":
        return view.getInt16(at, little);
      case "u32":
        return view.getUint32(at, little);
      case "i32":
        return view.getInt32(at, little);
      case "f32":
        return view.getFloat32(at, little);
      case "f64":
        return view.getFloat64(at, little);
      case "u64":
        return exact(view.getBigUint64(at, little));
      case "i64":
        return exact(view.getBigInt64(at, little));
      case "bool":
        if (view.getUint8(at) > 1) fail(`${what} is a bool and holds ${view.getUint8(at)}; only 0 and 1 are`);
        return view.getUint8(at) === 1;
      default:
        return fail(`${what} is of type ${kind}`);
    }
  }
}
