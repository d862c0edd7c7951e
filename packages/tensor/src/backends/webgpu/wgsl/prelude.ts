/**
 * Functions that kernels may call, each printed only where it is used. They exist because WGSL leaves much of this open:
 * `exp`, `tanh` and `sin` have loose bounds and drivers differ, `max` may drop a NaN, conversions of NaN are anything, and there is
 * no `erf` and no storage narrower than a word. Polynomials are those of the WebAssembly device, so both agree to rounding.
 */
import {
  COS,
  ERF,
  ERFC,
  EXP,
  LN2_HI,
  LN2_LO,
  LOG,
  LOG2_E,
  NORMAL_CDF,
  NORMAL_CDF_END,
  SIN,
  TANH,
} from "../../../math/approximations.ts";

interface Helper {
  readonly code: string;
  readonly uses?: readonly HelperName[];
}

/** An f32 literal. */
export function literal(x: number): string {
  const text = String(Math.fround(x));
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

function horner(coefficients: readonly number[], x: string): string {
  return coefficients
    .slice(0, -1)
    .reduceRight((sum, c) => `(${sum} * ${x} + ${literal(c)})`, literal(coefficients.at(-1)!));
}

const NAN_BITS = "0x7f800000u";
/** Bits of √½: taking them off before the exponent is read puts the mantissa into [√½, √2). */
const SQRT_HALF_BITS = "0x3f3504f3";

/** π/2 in three parts of 8 and 11 bits and the rest: n times the first two is exact for |n| < 2¹³, so |x| up to 1e4.
 * n itself may be off by one near a tie, which leaves r a little beyond π/4; the clamp only keeps huge arguments in range. */
const PIO2 = [1.5703125, 0.0004837512969970703125, 7.549789948768648e-8] as const;

const circular = (name: string, quadrants: number): string => `fn ${name}(x: f32) -> f32 {
  let n = round(x * ${literal(2 / Math.PI)});
  let r = clamp(((x - n * ${literal(PIO2[0])}) - n * ${literal(PIO2[1])}) - n * ${literal(PIO2[2])}, -0.8f, 0.8f);
  let z = r * r;
  let sine = r + r * (z * ${horner(SIN, "z")});
  let cosine = (1.0f - 0.5f * z) + z * z * ${horner(COS, "z")};
  let quadrant = i32(clamp(n, -2147483000.0f, 2147483000.0f)) + ${quadrants};
  let magnitude = select(sine, cosine, (quadrant & 1) == 1);
  let value = select(magnitude, -magnitude, (quadrant & 2) == 2);
  return select(bitcast<f32>(0x7fc00000u | opaque_zero), value, is_finite(x));
}`;

const helpers = {
  /** Makes a constant opaque: WGSL refuses constant expressions that are infinite or not a number. */
  opaque_zero: { code: "var<private> opaque_zero: u32 = 0u;" },
  is_nan: { code: `fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > ${NAN_BITS}; }` },
  is_finite: { code: `fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & ${NAN_BITS}) != ${NAN_BITS}; }` },
  nan_max: {
    uses: ["is_nan"],
    code: "fn nan_max(a: f32, b: f32) -> f32 { return select(select(select(b, a, a > b), b, is_nan(b)), a, is_nan(a)); }",
  },
  nan_min: {
    uses: ["is_nan"],
    code: "fn nan_min(a: f32, b: f32) -> f32 { return select(select(select(b, a, a < b), b, is_nan(b)), a, is_nan(a)); }",
  },
  to_i32: {
    uses: ["is_nan"],
    code: `fn to_i32(x: f32) -> i32 {
  if (is_nan(x)) { return 0; }
  if (x >= 2147483648.0f) { return 2147483647; }
  if (x <= -2147483648.0f) { return i32(-2147483648); }
  return i32(x);
}`,
  },
  to_u32: {
    uses: ["is_nan"],
    code: `fn to_u32(x: f32) -> u32 {
  if (is_nan(x) || x <= 0.0f) { return 0u; }
  if (x >= 4294967296.0f) { return 4294967295u; }
  return u32(x);
}`,
  },
  /** eˣ = 2ⁿ·eʳ; 2ⁿ is applied in two halves, so that subnormal results round once and overflow gives infinity. */
  exp_: {
    uses: ["is_nan"],
    code: `fn exp_(value: f32) -> f32 {
  if (is_nan(value)) { return value; }
  let x = clamp(value, -105.0f, 90.0f);
  let n = round(x * ${literal(LOG2_E)});
  let r = (x - n * ${literal(LN2_HI)}) - n * ${literal(LN2_LO)};
  let power = 1.0f + (r + (r * r) * ${horner(EXP, "r")});
  let whole = i32(n);
  let half = whole >> 1u;
  return (power * bitcast<f32>((half + 127) << 23u)) * bitcast<f32>((whole - half + 127) << 23u);
}`,
  },
  /** ln((1+f)·2ᵉ) for √½ ≤ 1+f < √2, smallest terms first. */
  log_of: {
    code: `fn log_of(f: f32, e: f32) -> f32 {
  let z = f * f;
  let low = (f * z) * ${horner(LOG, "f")} + e * ${literal(LN2_LO)};
  return e * ${literal(LN2_HI)} + (f + (low - 0.5f * z));
}`,
  },
  log_: {
    uses: ["log_of", "is_nan", "opaque_zero"],
    code: `fn log_(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x < 0.0f) { return bitcast<f32>(0x7fc00000u | opaque_zero); }
  if (bitcast<u32>(x) == ${NAN_BITS}) { return x; }
  if (x == 0.0f) { return bitcast<f32>(0xff800000u | opaque_zero); }
  let tiny = x < 1.1754943508222875e-38f;
  let bits = bitcast<i32>(select(x, x * 8388608.0f, tiny));
  let e = (bits - ${SQRT_HALF_BITS}) >> 23u;
  return log_of(bitcast<f32>(bits - (e << 23u)) - 1.0f, f32(e) - select(0.0f, 23.0f, tiny));
}`,
  },
  /** Where 1+x needs no scaling the polynomial takes x itself, so nothing is lost; elsewhere the rounding of 1+x is below an ulp of the result. */
  log1p_: {
    uses: ["log_", "log_of"],
    code: `fn log1p_(x: f32) -> f32 {
  if (x > -0.29f && x < 0.41f) { return log_of(x, 0.0f); }
  return log_(1.0f + x);
}`,
  },
  tanh_: {
    uses: ["exp_", "is_nan"],
    code: `fn tanh_(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = min(abs(x), 10.0f);
  let z = a * a;
  let t = exp_(-2.0f * a);
  let magnitude = select(1.0f - (t + t) / (t + 1.0f), a + a * (z * ${horner(TANH, "z")}), a < 0.65f);
  return select(magnitude, -magnitude, x < 0.0f);
}`,
  },
  /** x + x·P(x²) below 1; 1 − e^(−a·Q(a)) above, which is 1 from a = 3.92 on. */
  erf_: {
    uses: ["exp_", "is_nan"],
    code: `fn erf_(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = min(abs(x), 4.0f);
  let z = a * a;
  let magnitude = select(1.0f - exp_(-(a * ${horner(ERFC, "a")})), a + a * ${horner(ERF, "z")}, a < 1.0f);
  return select(magnitude, -magnitude, x < 0.0f);
}`,
  },
  /** Φ(−a) = e^(−a²/2)·P((a − 3)/(a + 3))/(a + 3) for a = |x|, with a² in two parts, the high one exact. */
  normal_cdf: {
    uses: ["exp_", "is_nan"],
    code: `fn normal_cdf(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = min(abs(x), ${literal(NORMAL_CDF_END)});
  let high = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
  let power = exp_(-0.5f * (high * high)) * exp_((high - a) * 0.5f * (a + high));
  let r = 1.0f / (a + 3.0f);
  let q = (a - 3.0f) * r;
  let below = select(${horner(NORMAL_CDF, "q")} * r * power, 0.0f, abs(x) > ${literal(NORMAL_CDF_END)});
  return select(below, 1.0f - below, x > 0.0f);
}`,
  },
  sin_: { uses: ["is_finite", "opaque_zero"], code: circular("sin_", 0) },
  cos_: { uses: ["is_finite", "opaque_zero"], code: circular("cos_", 1) },
  /** Subnormals are fraction · 2⁻²⁴, exact in f32. */
  widen_f16: {
    code: `fn widen_f16(bits: u32) -> f32 {
  let sign = (bits & 0x8000u) << 16u;
  let magnitude = bits & 0x7fffu;
  if (magnitude < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8f) | sign); }
  let exponent = select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u);
  return bitcast<f32>(((magnitude << 13u) + exponent) | sign);
}`,
  },
  /** Rebiases the exponent and rounds to even at bit 13; below 2⁻¹⁴ adding 0.5 makes the f32 adder round at the f16 unit. */
  narrow_f16: {
    code: `fn narrow_f16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > ${NAN_BITS}) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x38800000u) { return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5f) - 0x3f000000u); }
  return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
}`,
  },
  /** bf16 is the upper half of an f32. */
  widen_bf16: { code: "fn widen_bf16(bits: u32) -> f32 { return bitcast<f32>(bits << 16u); }" },
  narrow_bf16: {
    code: `fn narrow_bf16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > ${NAN_BITS}) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}`,
  },
  /** `elementBits` of random/threefry.ts. */
  element_bits: {
    uses: ["threefry"],
    code: `fn element_bits(k0: u32, k1: u32, index: u32, row: u32) -> u32 {
  let words = threefry(k0, k1, ((index >> 3u) << 2u) | (index & 3u), row);
  return select(words.x, words.y, (index & 4u) != 0u);
}`,
  },
  /** `elementHalf` of random/threefry.ts. */
  element_half: {
    uses: ["threefry"],
    code: `fn element_half(k0: u32, k1: u32, index: u32, row: u32) -> u32 {
  let words = threefry(k0, k1, ((index >> 4u) << 2u) | (index & 3u), row);
  let word = select(words.x, words.y, (index & 4u) != 0u);
  return select(word & 0xffffu, word >> 16u, (index & 8u) != 0u);
}`,
  },
  /** Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
  threefry: {
    code: `fn threefry(k0: u32, k1: u32, c0: u32, c1: u32) -> vec2<u32> {
  let k2 = k0 ^ k1 ^ 0x1bd11bdau;
  var x = vec2<u32>(c0 + k0, c1 + k1);
${[
  [13, 15, 26, 6],
  [17, 29, 16, 24],
]
  .map((set, i) => `  let r${i} = vec4<u32>(${set.map((r) => `${r}u`).join(", ")});`)
  .join("\n")}
${[1, 2, 3, 4, 5].map((group) => `  x = threefry_rounds(x, r${(group - 1) % 2}); x += vec2<u32>(k${group % 3}, k${(group + 1) % 3} + ${group}u);`).join("\n")}
  return x;
}
fn threefry_rounds(start: vec2<u32>, r: vec4<u32>) -> vec2<u32> {
  var x = start;
  for (var i = 0u; i < 4u; i++) {
    x.x += x.y;
    x.y = ((x.y << r[i]) | (x.y >> (32u - r[i]))) ^ x.x;
  }
  return x;
}`,
  },
} satisfies Record<string, Helper>;

export type HelperName =
  | "opaque_zero"
  | "is_nan"
  | "is_finite"
  | "nan_max"
  | "nan_min"
  | "to_i32"
  | "to_u32"
  | "exp_"
  | "log_of"
  | "log_"
  | "log1p_"
  | "tanh_"
  | "erf_"
  | "normal_cdf"
  | "sin_"
  | "cos_"
  | "widen_f16"
  | "narrow_f16"
  | "widen_bf16"
  | "narrow_bf16"
  | "threefry"
  | "element_bits"
  | "element_half";

export function isHelper(name: string): name is HelperName {
  return Object.hasOwn(helpers, name);
}

/** Source of the named helpers and of what they call, in a fixed order. */
export function printHelpers(wanted: ReadonlySet<HelperName>): string {
  const table: Readonly<Record<HelperName, Helper>> = helpers;
  const all = new Set<HelperName>();
  const add = (name: HelperName): void => {
    all.add(name);
    table[name].uses?.forEach(add);
  };
  wanted.forEach(add);
  return (Object.keys(table) as HelperName[])
    .filter((name) => all.has(name))
    .map((name) => `${table[name].code}\n`)
    .join("");
}
