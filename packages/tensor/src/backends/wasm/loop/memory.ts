/** Loads and stores by memory format: f16/bf16 widen to f32 and round back, bytes widen to u32, bool bytes become masks. */
import { bytesOf, type DType } from "../../../dtype.ts";
import { DTypeError, invariant } from "../../../errors.ts";
import { valueTypeOf, type ValueType } from "../../../ir/kernel.ts";
import type { Address } from "../address.ts";
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";
import { narrowBf16, narrowF16, widenBf16, widenF16 } from "./half.ts";

/** Register type of a memory format. */
export function registerType(dtype: DType): ValueType {
  if (dtype === "f64") throw new DTypeError("wasm: f64 tensors exist on the reference device only; cast to f32 first");
  return valueTypeOf(dtype);
}

/** Where in memory: an address plus a constant that must not be negative. */
export interface Place {
  readonly base: Address;
  readonly offset: number;
}

/** A place moved by a constant number of bytes, either way. */
export function moved(c: Code, at: Place, bytes: number): Place {
  const offset = at.offset + bytes;
  return offset >= 0 ? { base: at.base, offset } : { base: c.at.plus(at.base, c.at.bytes(offset)), offset: 0 };
}

/** Four adjacent elements. */
export function loadVector(c: Code, dtype: DType, at: Place): Push {
  switch (dtype) {
    case "f32":
    case "i32":
    case "u32":
      return c.load("v128.load", at.base, at.offset);
    case "f16":
      return widenF16(c, c.load("v128.load16x4_u", at.base, at.offset));
    case "bf16":
      return widenBf16(c, c.load("v128.load16x4_u", at.base, at.offset));
    case "u8":
      return bytes(c, at);
    case "bool":
      return c.i4("ne", bytes(c, at), c.i4const(0));
    case "f64":
      invariant(false, "f64 argument in a wasm kernel");
  }
}

function bytes(c: Code, at: Place): Push {
  const packed = c.load("v128.load32_zero", at.base, at.offset);
  return c.op("i32x4.extend_low_i16x8_u", c.op("i16x8.extend_low_i8x16_u", packed));
}

export function loadScalar(c: Code, dtype: DType, at: Place): Push {
  switch (dtype) {
    case "f32":
      return c.load("f32.load", at.base, at.offset);
    case "i32":
    case "u32":
      return c.load("i32.load", at.base, at.offset);
    case "u8":
    case "bool":
      return c.load("i32.load8_u", at.base, at.offset);
    case "f16":
    case "bf16": {
      const bits = c.op("i32x4.splat", c.load("i32.load16_u", at.base, at.offset));
      return c.lane("f32x4.extract_lane", dtype === "f16" ? widenF16(c, bits) : widenBf16(c, bits), 0);
    }
    case "f64":
      invariant(false, "f64 argument in a wasm kernel");
  }
}

/** Four elements `stride` elements apart, plus `lanes[i]` bytes more for lane i. */
export function loadLanes(c: Code, dtype: DType, at: (lane: number) => Place): Push {
  if (bytesOf(dtype) === 4) {
    const first = at(0);
    let out = c.let4(c.load("v128.load32_zero", first.base, first.offset));
    for (let i = 1; i < 4; i++) {
      const { base, offset } = at(i);
      out = c.let4(c.loadLane("v128.load32_lane", base, offset, i, out));
    }
    return out;
  }
  // Narrow formats: gather the raw bits, then widen once.
  const narrow = bytesOf(dtype) === 2 ? "i32.load16_u" : "i32.load8_u";
  let out: Push = c.i4const(0);
  for (let i = 0; i < 4; i++) {
    const { base, offset } = at(i);
    out = c.let4(c.replaceLane("i32x4.replace_lane", out, i, c.load(narrow, base, offset)));
  }
  return fromBits(c, dtype, out);
}

/** One element into lane `i` of `into`, in register form. */
export function loadIntoLane(c: Code, dtype: DType, at: Place, into: Push, i: number): Push {
  if (bytesOf(dtype) === 4) return c.loadLane("v128.load32_lane", at.base, at.offset, i, into);
  const type = registerType(dtype);
  const value = loadScalar(c, dtype, at);
  if (type === "f32") return c.replaceLane("f32x4.replace_lane", into, i, value);
  return c.replaceLane("i32x4.replace_lane", into, i, type === "bool" ? c.op("i32.sub", c.i32(0), value) : value);
}

function fromBits(c: Code, dtype: DType, bits: Push): Push {
  switch (dtype) {
    case "f16":
      return widenF16(c, bits);
    case "bf16":
      return widenBf16(c, bits);
    case "bool":
      return c.i4("ne", bits, c.i4const(0));
    default:
      return bits;
  }
}

/** Raw bits to store, in i32 lanes. */
function toBits(c: Code, dtype: DType, value: Push): Push {
  switch (dtype) {
    case "f16":
      return narrowF16(c, value);
    case "bf16":
      return narrowBf16(c, value);
    case "bool":
      return c.v("and", value, c.i4const(1));
    case "u8":
      return c.v("and", value, c.i4const(0xff));
    default:
      return value;
  }
}

/** Four adjacent elements. u8 keeps the low eight bits. */
export function storeVector(c: Code, dtype: DType, at: Place, value: Push): void {
  const size = bytesOf(dtype);
  if (size === 4) return c.store("v128.store", at.base, at.offset, value);
  const bits = c.let4(toBits(c, dtype, value));
  const halves = c.op("i16x8.narrow_i32x4_u", bits, bits);
  if (size === 2) return c.storeLane("v128.store64_lane", at.base, at.offset, 0, halves);
  const packed = c.let4(halves);
  c.storeLane("v128.store32_lane", at.base, at.offset, 0, c.op("i8x16.narrow_i16x8_u", packed, packed));
}

export function storeScalar(c: Code, dtype: DType, at: Place, value: Push): void {
  switch (dtype) {
    case "f32":
      return c.store("f32.store", at.base, at.offset, value);
    case "i32":
    case "u32":
      return c.store("i32.store", at.base, at.offset, value);
    case "u8":
    case "bool":
      return c.store("i32.store8", at.base, at.offset, value);
    case "f16":
    case "bf16": {
      const bits = toBits(c, dtype, c.let4(c.op("f32x4.splat", value)));
      return c.store("i32.store16", at.base, at.offset, c.lane("i32x4.extract_lane", bits, 0));
    }
    case "f64":
      invariant(false, "f64 argument in a wasm kernel");
  }
}

/** Four elements at four addresses, in lane order. */
export function storeLanes(c: Code, dtype: DType, at: (lane: number) => Place, value: Push): void {
  const bits = c.let4(toBits(c, dtype, value));
  const size = bytesOf(dtype);
  const op = size === 4 ? "i32.store" : size === 2 ? "i32.store16" : "i32.store8";
  for (let i = 0; i < 4; i++) {
    const { base, offset } = at(i);
    c.store(op, base, offset, c.lane("i32x4.extract_lane", bits, i));
  }
}
