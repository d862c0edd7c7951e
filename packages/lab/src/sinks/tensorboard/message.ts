/**
 * Writing protobuf messages: a field is its number and kind, then its value. What is zero or empty is left out, as proto3 does, except for members of a
 * `oneof`, which are written where they are given.
 */

const text = new TextEncoder();

/** Least bytes first, seven bits each; the top bit says that more follow. Negative numbers take ten, as 64-bit two's complement. */
export function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  if (typeof value === "number" && value >= 0 && value < 2 ** 31) {
    let short = value;
    for (; short > 0x7f; short >>>= 7) bytes.push((short & 0x7f) | 0x80);
    bytes.push(short);
    return bytes;
  }
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return bytes;
}

export class Message {
  readonly #parts: (readonly number[] | Uint8Array)[] = [];

  /** int32, int64, bool, enum. */
  int(field: number, value: number | bigint): this {
    return Number(value) === 0 ? this : this.intOf(field, value);
  }

  /** Of a oneof. */
  intOf(field: number, value: number | bigint): this {
    this.#parts.push([...varint(8 * field), ...varint(value)]);
    return this;
  }

  double(field: number, value: number): this {
    return Object.is(value, 0) ? this : this.doubleOf(field, value);
  }

  /** Of a oneof. */
  doubleOf(field: number, value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    this.#parts.push(varint(8 * field + 1), bytes);
    return this;
  }

  /** Of a oneof. */
  floatOf(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#parts.push(varint(8 * field + 5), bytes);
    return this;
  }

  string(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, text.encode(value));
  }

  /** A string of a oneof, or bytes that are wanted also where there are none. */
  bytes(field: number, value: Uint8Array): this {
    this.#parts.push([...varint(8 * field + 2), ...varint(value.length)], value);
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  /** Bytes of fields, or of the beginning of one. */
  raw(bytes: readonly number[]): this {
    this.#parts.push(bytes);
    return this;
  }

  encode(): Uint8Array {
    const out = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}
