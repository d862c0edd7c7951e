/** A GGUF file of plain f32 tensors, for tests. Source: docs/gguf.md of ggml. */

export type Metadata = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface WrittenTensor {
  /** Row-major. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const ALIGNMENT = 32;
const [U32, F32, BOOL, STRING, ARRAY] = [4, 6, 7, 8, 9];

/** Numbers that are whole become u32, others f32. */
export function writeGguf(metadata: Metadata, tensors: ReadonlyMap<string, WrittenTensor>): Uint8Array {
  const parts: Uint8Array[] = [];
  const bytes = (array: ArrayBufferView): void => {
    parts.push(new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice());
  };
  const u32 = (...x: number[]): void => bytes(Uint32Array.from(x));
  const u64 = (...x: number[]): void => bytes(BigUint64Array.from(x, BigInt));
  const text = (x: string): void => {
    const encoded = new TextEncoder().encode(x);
    u64(encoded.length);
    bytes(encoded);
  };
  bytes(new TextEncoder().encode("GGUF"));
  u32(3);
  u64(tensors.size, Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    if (typeof value === "string") {
      u32(STRING);
      text(value);
    } else if (typeof value === "boolean") {
      u32(BOOL);
      bytes(Uint8Array.of(Number(value)));
    } else if (typeof value === "number") {
      u32(Number.isInteger(value) ? U32 : F32);
      bytes(Number.isInteger(value) ? Uint32Array.of(value) : Float32Array.of(value));
    } else {
      u32(ARRAY, STRING);
      u64(value.length);
      value.forEach(text);
    }
  }
  const aligned = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    text(name);
    u32(shape.length);
    u64(...shape.toReversed());
    u32(0);
    u64(offset);
    offset = aligned(offset + data.byteLength);
  }
  const size = (): number => parts.reduce((sum, part) => sum + part.length, 0);
  const pad = (): void => {
    const at = size();
    bytes(new Uint8Array(aligned(at) - at));
  };
  pad();
  for (const { data } of tensors.values()) {
    bytes(data);
    pad();
  }
  const out = new Uint8Array(size());
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
