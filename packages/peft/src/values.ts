/** Numbers on their way between files and memory: what is stored must be what was meant. */
import {
  dtypes,
  FormatError,
  isFloat,
  NumericsError,
  toMemory,
  floatsOf,
  type DType,
  type StoredTensor,
  type TypedArray,
} from "@lowrank/tensor";
import { oneOf, type Rule } from "@lowrank/tensor/check";

export const FLOATS: Rule<DType> = oneOf(
  ...(["f64", "f32", "f16", "bf16"] as const).filter((dtype) => dtype in dtypes),
);

export interface ValueOptions {
  /** Takes NaN and infinities as they are. Default: they are refused by name. */
  readonly allowNonFinite?: boolean;
}

/** The tensor's numbers in another dtype. @throws FormatError on numbers that are no floats or not finite, NumericsError where the narrower dtype cannot hold them */
export function converted(
  to: DType,
  { data, dtype }: StoredTensor,
  what: string,
  { allowNonFinite = false }: ValueOptions,
): TypedArray {
  if (!isFloat(dtype)) throw new FormatError(`${what} holds ${dtype}; an adapter's values are floats`);
  const before = allowNonFinite ? -1 : firstNonFinite(dtype, data);
  if (before >= 0)
    throw new FormatError(
      `${what} holds ${floatsOf(dtype, data.slice(before, before + 1))[0]} at element ${before}; say allowNonFinite to take it as it is`,
    );
  const out = toMemory(to, data, dtype);
  const after = allowNonFinite || dtypes[to].rank >= dtypes[dtype].rank ? -1 : firstNonFinite(to, out);
  if (after >= 0)
    throw new NumericsError(
      `${what}: element ${after}, ${floatsOf(dtype, data.slice(after, after + 1))[0]}, is too large for ${to}`,
    );
  return out;
}

function firstNonFinite(dtype: DType, data: TypedArray): number {
  // all ones in the exponent
  const mask = dtype === "f16" ? 0x7c00 : 0x7f80;
  return dtype === "f16" || dtype === "bf16"
    ? data.findIndex((bits) => (bits & mask) === mask)
    : data.findIndex((v) => !Number.isFinite(v));
}

/** The first `size` rows (or columns) of a matrix. */
export function cut({ dtype, shape, data }: StoredTensor, dim: 0 | 1, size: number): StoredTensor {
  const [rows, columns] = shape as [number, number];
  if (dim === 0) return { dtype, shape: [size, columns], data: data.slice(0, size * columns) };
  const out = data.slice(0, rows * size);
  for (let r = 0; r < rows; r++) out.set(data.subarray(r * columns, r * columns + size), r * size);
  return { dtype, shape: [rows, size], data: out };
}
