/** f16 and bf16 ↔ f32 on four lanes: exact widening, rounding to nearest even; subnormals, infinities and NaN included. */
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";

/** `bits`: four f16 in the low halves of i32 lanes. */
export function widenF16(c: Code, bits: Push): Push {
  const h = c.let4(bits);
  const magnitude = c.let4(c.v("and", h, c.i4const(0x7fff)));
  const shifted = c.let4(c.shift("shl", magnitude, 13));
  // Bias 15 → 127; infinities and NaN go on to the top exponent; below 2^-14 the value is fraction · 2^-24.
  const normal = c.i4("add", shifted, c.i4const(112 << 23));
  const special = c.v("or", shifted, c.i4const(0x7f800000));
  const subnormal = c.f4("mul", c.op("f32x4.convert_i32x4_s", magnitude), c.f4const(2 ** -24));
  const large = c.v("bitselect", special, normal, c.i4("gt_s", magnitude, c.i4const(0x7bff)));
  const value = c.v("bitselect", subnormal, large, c.i4("lt_s", magnitude, c.i4const(0x0400)));
  return c.v("or", value, c.shift("shl", c.v("and", h, c.i4const(0x8000)), 16));
}

/** Four f16 in the low halves of i32 lanes, high halves zero. */
export function narrowF16(c: Code, x: Push): Push {
  const value = c.let4(x);
  const a = c.let4(c.v("and", value, c.i4const(0x7fffffff)));
  // Half of the last kept place, less one, plus the kept place's parity: rounds to nearest, ties to even, by a plain carry.
  const odd = c.v("and", c.shift("shr_u", a, 13), c.i4const(1));
  const normal = c.shift("shr_u", c.i4("add", a, c.i4("add", odd, c.i4const((0xfff - (112 << 23)) | 0))), 13);
  // Adding 0.5 leaves multiples of 2^-24 in the low bits: the subnormal f16 spacing.
  const subnormal = c.i4("sub", c.f4("add", a, c.f4const(0.5)), c.f4const(0.5));
  const nan = c.v("bitselect", c.i4const(0x7e00), c.i4const(0x7c00), c.i4("gt_s", a, c.i4const(0x7f800000)));
  // From 65520 on: infinity.
  const large = c.v("bitselect", nan, normal, c.i4("gt_s", a, c.i4const(0x477fefff)));
  const magnitude = c.v("bitselect", subnormal, large, c.i4("lt_s", a, c.i4const(0x38800000)));
  return c.v("or", magnitude, c.v("and", c.shift("shr_u", value, 16), c.i4const(0x8000)));
}

export function widenBf16(c: Code, bits: Push): Push {
  return c.shift("shl", bits, 16);
}

/** Four bf16 in the low halves of i32 lanes, high halves zero. */
export function narrowBf16(c: Code, x: Push): Push {
  const value = c.let4(x);
  const top = c.let4(c.shift("shr_u", value, 16));
  const odd = c.v("and", top, c.i4const(1));
  const rounded = c.shift("shr_u", c.i4("add", value, c.i4("add", odd, c.i4const(0x7fff))), 16);
  return c.v("bitselect", c.v("or", top, c.i4const(0x40)), rounded, c.f4("ne", value, value));
}
