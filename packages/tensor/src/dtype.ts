/** Element types. `f64` exists on the reference backend only; `f16` and `bf16` are storage formats that compute in f32. */
export type DType = "f64" | "f32" | "f16" | "bf16" | "i32" | "u32" | "u8" | "bool";

export type TypedArray = Float64Array | Float32Array | Uint16Array | Int32Array | Uint32Array | Uint8Array;

interface DTypeInfo {
  /** Bytes per element in memory. */
  readonly bytes: number;
  readonly kind: "float" | "int" | "bool";
  /** Order for type promotion: the higher rank wins (bool < u8 < i32 < u32 < f16 < bf16 < f32 < f64). */
  readonly rank: number;
  readonly array: new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => TypedArray;
}

/** `f16` and `bf16` are held as raw bits in a Uint16Array: Node 20 has no Float16Array. */
export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  f64: { bytes: 8, kind: "float", rank: 7, array: Float64Array },
  f32: { bytes: 4, kind: "float", rank: 6, array: Float32Array },
  bf16: { bytes: 2, kind: "float", rank: 5, array: Uint16Array },
  f16: { bytes: 2, kind: "float", rank: 4, array: Uint16Array },
  u32: { bytes: 4, kind: "int", rank: 3, array: Uint32Array },
  i32: { bytes: 4, kind: "int", rank: 2, array: Int32Array },
  u8: { bytes: 1, kind: "int", rank: 1, array: Uint8Array },
  bool: { bytes: 1, kind: "bool", rank: 0, array: Uint8Array },
};

export function bytesOf(dtype: DType): number {
  return dtypes[dtype].bytes;
}

export function isFloat(dtype: DType): boolean {
  return dtypes[dtype].kind === "float";
}

/** The dtype two operands meet in. f16 with bf16 meet in f32, since neither holds the other. */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  if ((a === "f16" && b === "bf16") || (a === "bf16" && b === "f16")) return "f32";
  return dtypes[a].rank >= dtypes[b].rank ? a : b;
}

/** A typed view of `bytes` in the memory form of `dtype`. Throws RangeError when the offset is not aligned. */
export function viewAs(dtype: DType, bytes: Uint8Array): TypedArray {
  const info = dtypes[dtype];
  return new info.array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / info.bytes));
}
