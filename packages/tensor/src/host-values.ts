/**
 * The one door for values from the host: tensors, parameters, live values, inputs of compiled functions. What comes in has the length
 * of its shape and the memory form of its dtype afterwards, or is refused; bytes of one type are never taken for another.
 *
 * Floats round to nearest even (beyond the range to infinity), as a cast on the device does. Integers must be whole and in range.
 * bool: 0 is false, everything else true.
 */
import { dtypes, isFloat, type DType, type TypedArray } from "./dtype.ts";
import { DTypeError, quote, ShapeError } from "./errors.ts";
import { bf16ToF32, f16ToF32 } from "./math/half.ts";
import { toMemory } from "./memory-form.ts";
import { formatShape, sizeOf } from "./shape.ts";

export type NestedArray = number | NestedArray[];

/** Numbers as a program has them. 64-bit integers must fit the dtype they become. */
export type HostData =
  | TypedArray
  | Int8Array
  | Int16Array
  | Uint8ClampedArray
  | BigInt64Array
  | BigUint64Array
  | NestedArray
  | ArrayLike<number>;

/** Longest array a typed array can be anywhere; a longer tensor is a slip. */
const LARGEST = 2 ** 33;

/** Inclusive ranges of whole numbers. */
const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-2147483648, 2147483647],
  u32: [0, 4294967295],
  u8: [0, 255],
  bool: [0, 1],
};

/** The dtype that an array's type says its elements are. Uint16Array is not here: it may hold bits. */
const NATURAL: Readonly<Record<string, DType>> = {
  Float64Array: "f64",
  Float32Array: "f32",
  Float16Array: "f16",
  Int32Array: "i32",
  Uint32Array: "u32",
  Uint8Array: "u8",
  Uint8ClampedArray: "u8",
};

/** "Float32Array" and so on, whichever realm or subclass it is from; undefined for lists. */
function kindOf(data: unknown): string | undefined {
  return ArrayBuffer.isView(data)
    ? (data as unknown as { readonly [Symbol.toStringTag]: string })[Symbol.toStringTag]
    : undefined;
}

/** @throws ShapeError naming `name` unless all sizes are whole and not negative */
export function checkSizes(name: string, shape: readonly number[]): void {
  if (!Array.isArray(shape)) throw new ShapeError(`${name}: a shape is a list of sizes, got ${quote(shape)}`);
  const wrong = shape.findIndex((d) => !Number.isSafeInteger(d) || d < 0);
  if (wrong >= 0)
    throw new ShapeError(`${name}: size ${wrong} of shape ${formatShape(shape)} must be a whole number of at least 0`);
}

/** @throws ShapeError naming `name` unless all sizes are whole, not negative, and together of a number that memory could hold */
export function checkShape(name: string, shape: readonly number[]): void {
  checkSizes(name, shape);
  if (sizeOf(shape) > LARGEST)
    throw new ShapeError(
      `${name}: shape ${formatShape(shape)} has ${sizeOf(shape)} elements, more than any memory holds`,
    );
}

/** @throws DTypeError naming `name` unless it is one */
export function checkDType(name: string, dtype: DType): void {
  if (!Object.hasOwn(dtypes, dtype))
    throw new DTypeError(`${name}: there is no dtype ${quote(dtype)}; use ${Object.keys(dtypes).join(", ")}`);
}

/** Whether a tensor of `dtype` can hold this number: floats round, the others have whole numbers of a range. */
function holds(dtype: DType, value: number): boolean {
  const range = RANGES[dtype];
  return range === undefined || (Number.isInteger(value) && value >= range[0] && value <= range[1]);
}

/** @throws DTypeError naming `op` unless `value` is a number that a tensor of `dtype` can hold */
export function checkNumber(op: string, dtype: DType, value: unknown): asserts value is number {
  if (typeof value !== "number") throw new DTypeError(`${op}: takes tensors and numbers, got ${quote(value)}`);
  if (!holds(dtype, value))
    throw new DTypeError(
      `${op}: ${value} is no ${dtype}, the dtype of the tensor beside it, which holds whole numbers from ${RANGES[dtype]!.join(" to ")}; cast the tensor first`,
    );
}

/**
 * The dtype of host data that comes without one.
 * @param fallback for data whose type does not say it
 */
export function naturalDType(name: string, data: HostData, fallback: DType): DType {
  const kind = kindOf(data);
  if (kind === "Uint16Array")
    throw new DTypeError(
      `${name}: a Uint16Array holds f16 bits, bf16 bits or numbers; say which (dtype "f16" or "bf16"), or make it an Int32Array`,
    );
  return kind === undefined ? fallback : (NATURAL[kind] ?? "i32");
}

/**
 * `data` as the memory of a tensor. The caller's own array where it is in that form already, so copy before keeping it.
 * @param name who is asked to take it, for messages: `compiled input "ids"`
 * @param from dtype of the data where its type does not say it: f16 and bf16 bits, bool bytes
 * @throws ShapeError, DTypeError
 */
export function hostValue(
  name: string,
  dtype: DType,
  shape: readonly number[],
  data: HostData,
  from?: DType,
): TypedArray {
  checkDType(name, dtype);
  checkShape(name, shape);
  const list = (
    typeof data === "number" ? [data] : Array.isArray(data) ? data.flat(Infinity as 1) : data
  ) as ArrayLike<unknown>;
  const kind = kindOf(list);
  if (typeof list !== "object" || list === null || kind === "DataView" || typeof list.length !== "number")
    throw new DTypeError(`${name}: values must be a typed array or a list of numbers, got ${quote(data)}`);
  if (list.length !== sizeOf(shape))
    throw new ShapeError(`${name}: ${list.length} values do not fill ${formatShape(shape)}`);
  const meant = from ?? (kind === "Uint16Array" ? bitsIn(name, dtype) : undefined);
  if (meant !== undefined && kind !== undefined && kind !== dtypes[meant].array.name)
    throw new DTypeError(`${name}: ${meant} values are held in a ${dtypes[meant].array.name}, got a ${kind}`);
  if (dtype === "bool") return truths(name, list);
  if (kind === dtypes[dtype].array.name && (meant ?? dtype) === dtype) return list as TypedArray;
  const numbers =
    meant === "f16" ? f16ToF32(list as Uint16Array) : meant === "bf16" ? bf16ToF32(list as Uint16Array) : list;
  return toMemory(dtype, wholeNumbers(name, dtype, numbers), undefined);
}

/** A Uint16Array that goes into a half-precision tensor is its bits; it cannot go anywhere else. */
function bitsIn(name: string, dtype: DType): DType {
  if (dtype === "f16" || dtype === "bf16") return dtype;
  throw new DTypeError(
    `${name}: a Uint16Array does not say whether it holds f16 bits, bf16 bits or numbers, and ${dtype} is none of the three; convert it first (f16ToF32, bf16ToF32, Int32Array.from)`,
  );
}

function truths(name: string, values: ArrayLike<unknown>): Uint8Array {
  if (kindOf(values) === "Uint8Array" && (values as Uint8Array).every((v) => v <= 1)) return values as Uint8Array;
  return Uint8Array.from(values, (v, i) => {
    if (typeof v !== "number" && typeof v !== "boolean" && typeof v !== "bigint") throw notANumber(name, v, i);
    return v ? 1 : Number.isNaN(v) ? 1 : 0;
  });
}

/** The values as numbers that `dtype` can hold. */
function wholeNumbers(name: string, dtype: DType, values: ArrayLike<unknown>): ArrayLike<number> {
  const float = isFloat(dtype);
  const kind = kindOf(values);
  if (float && kind !== undefined && !kind.startsWith("Big")) return values as ArrayLike<number>;
  return Array.from(values, (v, i) => {
    if (typeof v !== "number" && typeof v !== "bigint") throw notANumber(name, v, i);
    const number = Number(v);
    if (!holds(dtype, number))
      throw new DTypeError(
        `${name}: ${v} at element ${i} is no ${dtype}, which holds whole numbers from ${RANGES[dtype]!.join(" to ")}; use a float dtype or round it first`,
      );
    return number;
  });
}

function notANumber(name: string, v: unknown, i: number): DTypeError {
  return new DTypeError(`${name}: element ${i} is ${quote(v)}, not a number`);
}

/** Nested lists have the shape of their nesting; anything else is a vector. @throws ShapeError on ragged rows */
export function inferShape(name: string, data: HostData): number[] {
  if (typeof data === "number") return [];
  if (!Array.isArray(data)) return [(data as ArrayLike<number>).length];
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0] as unknown) shape.push(level.length);
  const fits = (level: unknown, depth: number): boolean =>
    depth === shape.length
      ? !Array.isArray(level)
      : Array.isArray(level) && level.length === shape[depth] && level.every((inner) => fits(inner, depth + 1));
  if (!fits(data, 0)) throw new ShapeError(`${name}: rows have different lengths`);
  return shape;
}
