/** Between numbers and the memory form of a dtype: f16 and bf16 are raw bits, bool is 0 or 1. */
import type { DType, TypedArray } from "./dtype.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./math/half.ts";

/** `values` as `dtype` in memory. `natural` is the dtype they are already in, when they are. */
export function toMemory(dtype: DType, values: ArrayLike<number>, natural: DType | undefined): TypedArray {
  if (natural === dtype && ArrayBuffer.isView(values)) return values as TypedArray;
  const numbers = natural === "f16" || natural === "bf16" ? floatsOf(natural, values as Uint16Array) : values;
  switch (dtype) {
    case "f64":
      return Float64Array.from(numbers);
    case "f32":
      return Float32Array.from(numbers);
    case "f16":
      return f32ToF16(Float32Array.from(numbers));
    case "bf16":
      return f32ToBf16(Float32Array.from(numbers));
    case "i32":
      return Int32Array.from(numbers);
    case "u32":
      return Uint32Array.from(numbers);
    case "u8":
      return Uint8Array.from(numbers);
    case "bool":
      return Uint8Array.from(numbers, (v) => (v === 0 ? 0 : 1));
  }
}

/** The numbers that memory of `dtype` stands for. */
export function floatsOf(dtype: DType, data: TypedArray): Float64Array {
  if (dtype === "f16") return Float64Array.from(f16ToF32(data as Uint16Array));
  if (dtype === "bf16") return Float64Array.from(bf16ToF32(data as Uint16Array));
  return data instanceof Float64Array ? data : Float64Array.from(data);
}

/** Rounds f64 numbers to what `dtype` can hold, in place where it can. */
export function roundTo(dtype: DType, values: Float64Array): Float64Array {
  return dtype === "f64" ? values : floatsOf(dtype, toMemory(dtype, values, undefined));
}
