/** The bytes of a GGUF header, little-endian, value after value. */
import { encodeUtf8, FormatError, quote } from "@lowrank/tensor";
import { MAX_KEY_BYTES, type GgufTyped } from "./values.ts";
import { VALUE_NAMES, VALUE_SIZES, type ValueKind } from "./types.ts";

type Scalar = number | bigint | boolean | string;

/** What whole numbers of a kind lie between, both included. */
const RANGES: Partial<Record<ValueKind, readonly [bigint, bigint]>> = Object.fromEntries(
  ([8, 16, 32, 64] as const).flatMap((bits) => [
    [`u${bits}`, [0n, 2n ** BigInt(bits) - 1n]],
    [`i${bits}`, [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n]],
  ]),
);

const numberOf = (kind: ValueKind): number => VALUE_NAMES.indexOf(kind);

export class HeaderBytes {
  #bytes = new Uint8Array(1 << 12);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A string: u64 length, then UTF-8. */
  text(value: string): void {
    const bytes = encodeUtf8(value);
    this.scalar("u64", bytes.length, value);
    this.raw(bytes);
  }

  /** A metadata entry: key, type, value. */
  entry(key: string, value: GgufTyped): void {
    if (key === "" || encodeUtf8(key).length > MAX_KEY_BYTES)
      throw new FormatError(`GGUF: the key ${quote(key)} must have 1 to ${MAX_KEY_BYTES} bytes`);
    this.text(key);
    this.scalar("u32", numberOf(value.kind), key);
    this.#value(value, quote(key));
  }

  #value(typed: GgufTyped, what: string): void {
    if (typed.kind !== "array") {
      this.#one(typed.kind, typed.value, what);
      return;
    }
    this.scalar("u32", numberOf(typed.of), what);
    this.scalar("u64", typed.value.length, what);
    if (typed.of === "array")
      for (const item of typed.value) {
        if (item.kind !== "array") throw new FormatError(`GGUF: ${what} is to hold arrays, and holds ${item.kind}`);
        this.#value(item, what);
      }
    else for (let i = 0; i < typed.value.length; i++) this.#one(typed.of, typed.value[i]!, what);
  }

  #one(kind: ValueKind, value: Scalar, what: string): void {
    if (kind === "string") {
      if (typeof value !== "string") throw wrong(what, kind, value);
      this.text(value);
    } else this.scalar(kind, value, what);
  }

  /** @throws FormatError where the kind cannot hold it */
  scalar(kind: ValueKind, value: Scalar, what: string): void {
    const size = VALUE_SIZES[numberOf(kind)]!;
    const range = RANGES[kind];
    if (range !== undefined) {
      const whole = typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
      if (whole === undefined || whole < range[0] || whole > range[1]) throw wrong(what, kind, value);
      const at = this.#room(size);
      // two's complement, byte by byte
      const bits = BigInt.asUintN(8 * size, whole);
      for (let i = 0; i < size; i++) this.#bytes[at + i] = Number((bits >> BigInt(8 * i)) & 255n);
    } else if (kind === "bool") {
      if (typeof value !== "boolean") throw wrong(what, kind, value);
      this.#bytes[this.#room(1)] = Number(value);
    } else {
      if (typeof value !== "number") throw wrong(what, kind, value);
      const at = this.#room(size);
      if (kind === "f32") this.#view.setFloat32(at, value, true);
      else this.#view.setFloat64(at, value, true);
    }
  }

  #room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

function wrong(what: string, kind: ValueKind, value: unknown): FormatError {
  return new FormatError(`GGUF: ${what} is to be ${kind}, which ${quote(value)} is not`);
}
