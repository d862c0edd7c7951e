/**
 * f32 functions on four lanes, as straight-line code: no tables, no branches. Multiply-adds are fused where the machine does that, and every
 * reduction below is exact either way. Errors, with and without fusing, were measured over dense samples of the whole range
 * (test/wasm-math.test.ts holds them): in units of the last place, exp 1.2 (1.3 for x ≤ 0 with subnormal results as 0), log 0.9, log1p 1.5, tanh 1.4, erf 1.2, normalCdf 5.3, sin and cos 1.6 for |x| ≤ 1e5.
 */
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";
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

/** Adding and subtracting 1.5·2²³ rounds to the nearest integer, which then sits in the low bits of the sum. */
const ROUND_MAGIC = 12582912;

export type MathFunction = (c: Code, x: Push) => Push;

function horner(c: Code, coefficients: readonly number[], x: Push): Push {
  return coefficients
    .slice(0, -1)
    .reduceRight((sum: Push, k) => c.madd(sum, x, c.f4const(k)), c.f4const(coefficients.at(-1)!));
}

/** (sign of `sign`, magnitude of `magnitude`). */
function copySign(c: Code, magnitude: Push, sign: Push): Push {
  return c.v("bitselect", sign, magnitude, c.i4const(0x80000000));
}

/** eˣ = 2ⁿ·eʳ with n = ⌊x/ln 2⌉ and |r| ≤ ln 2 / 2; `low` is what x had no room for. Leaves n + `bias` in the low bits of `shifted`, and eʳ, near 1. */
function expParts(c: Code, x: Push, bias: number, low?: Push): { shifted: Push; power: Push } {
  const magic = c.f4const(ROUND_MAGIC + bias);
  const shifted = c.let4(c.madd(x, c.f4const(LOG2_E), magic));
  const n = c.let4(c.f4("sub", shifted, magic));
  const rest = c.madd(n, c.f4const(-LN2_LO), c.madd(n, c.f4const(-LN2_HI), x));
  const r = c.let4(low === undefined ? rest : c.f4("add", rest, low));
  return { shifted, power: horner(c, [1, 1, ...EXP], r) };
}

/**
 * 2ⁿ is applied as 2^⌊n/2⌋ · 2^⌈n/2⌉, so that subnormal results round once and overflow gives infinity. With n + 254 = a + b in the low
 * bits, a and b are the exponent fields of the two factors: shifted into place, the bits above them fall off.
 */
export const exp: MathFunction = (c, x) => {
  // pmax(a, b) = a < b ? b : a keeps a NaN in `a`.
  const clamped = c.let4(c.f4("pmin", c.f4("pmax", x, c.f4const(-105)), c.f4const(90)));
  const { shifted, power } = expParts(c, clamped, 254);
  const half = c.let4(c.shift("shr_u", shifted, 1));
  const scale = (field: Push): Push => c.shift("shl", field, 23);
  return c.f4("mul", c.f4("mul", power, scale(half)), scale(c.i4("sub", shifted, half)));
};

/** Below it, results would be subnormal. */
const LEAST_NORMAL = -87.33654;

/** eˣ for x ≤ 0, as softmax takes it: one scaling by 2ⁿ, and 0 in place of results below 2⁻¹²⁶. */
export const expBelow0: MathFunction = (c, value) => {
  const x = c.let4(value);
  const { shifted, power } = expParts(c, x, 127);
  const scaled = c.f4("mul", power, c.shift("shl", shifted, 23));
  // what is masked out is garbage; NaN is not less than anything
  return c.v("andnot", scaled, c.f4("lt", x, c.f4const(LEAST_NORMAL)));
};

/** eˣ for −87 ≤ x ≤ 0: one scaling by 2ⁿ, added straight into the exponent. Garbage at NaN, so callers select `near` there. */
function expSmall(c: Code, x: Push, low?: Push): Push {
  const { shifted, power } = expParts(c, x, 0, low);
  return c.i4("add", power, c.shift("shl", shifted, 23));
}

/** ln((1+f)·2ᵉ) for √½ ≤ 1+f < √2, smallest terms first. */
function logOf(c: Code, f: Push, e: Push): Push {
  const z = c.let4(c.f4("mul", f, f));
  const cubic = c.f4("mul", c.f4("mul", f, z), horner(c, LOG, f));
  const low = c.madd(e, c.f4const(LN2_LO), cubic);
  const sum = c.madd(z, c.f4const(-0.5), low);
  return c.madd(e, c.f4const(LN2_HI), c.f4("add", f, sum));
}

/** Bits of √½: taking them off before the exponent is read puts the mantissa into [√½, √2). */
const SQRT_HALF_BITS = 0x3f3504f3;

export const log: MathFunction = (c, value) => {
  const x = c.let4(value);
  // Subnormals are brought into the normal range first.
  const tiny = c.let4(c.f4("lt", x, c.f4const(1.1754943508222875e-38)));
  const y = c.let4(c.f4("mul", x, c.v("bitselect", c.f4const(2 ** 23), c.f4const(1), tiny)));
  const e = c.let4(c.shift("shr_s", c.i4("sub", y, c.i4const(SQRT_HALF_BITS)), 23));
  const f = c.let4(c.f4("sub", c.i4("sub", y, c.shift("shl", e, 23)), c.f4const(1)));
  const exponent = c.let4(c.f4("sub", c.op("f32x4.convert_i32x4_s", e), c.v("and", tiny, c.f4const(23))));
  return logSpecials(c, x, c.f4const(0), logOf(c, f, exponent));
};

/** −∞ at `zero`, NaN below it and at NaN, ∞ at ∞. */
function logSpecials(c: Code, x: Push, zero: Push, result: Push): Push {
  const finite = c.v("bitselect", result, x, c.f4("lt", x, c.f4const(Infinity)));
  const positive = c.v("bitselect", finite, c.f4const(NaN), c.f4("ge", x, zero));
  return c.v("bitselect", c.f4const(-Infinity), positive, c.f4("eq", x, zero));
}

/** With u = fl(1+x) and its exact rounding error δ (Knuth's two-sum): 1+x = 2ᵉ·(m + δ·2⁻ᵉ), so f = (m − 1) + δ·2⁻ᵉ. */
export const log1p: MathFunction = (c, value) => {
  const x = c.let4(value);
  const u = c.let4(c.f4("add", c.f4const(1), x));
  const b = c.let4(c.f4("sub", u, c.f4const(1)));
  const delta = c.let4(c.f4("add", c.f4("sub", c.f4const(1), c.f4("sub", u, b)), c.f4("sub", x, b)));
  const e = c.let4(c.shift("shr_s", c.i4("sub", u, c.i4const(SQRT_HALF_BITS)), 23));
  const m = c.f4("sub", c.i4("sub", u, c.shift("shl", e, 23)), c.f4const(1));
  const scale = c.shift("shl", c.i4("max_s", c.i4("sub", c.i4const(127), e), c.i4const(0)), 23);
  const f = c.let4(c.madd(delta, scale, m));
  const result = c.let4(logSpecials(c, x, c.f4const(-1), logOf(c, f, c.let4(c.op("f32x4.convert_i32x4_s", e)))));
  // ln(1 − 0) must stay −0; the sum above gives +0.
  return c.v("bitselect", x, result, c.f4("eq", x, c.f4const(0)));
};

/** x + x³·P(x²) near 0; 1 − 2t/(1+t) with t = e^(−2|x|) elsewhere. */
export const tanh: MathFunction = (c, value) => {
  const x = c.let4(value);
  const a = c.let4(c.f4("abs", x));
  const t2 = c.let4(c.f4("mul", a, a));
  const near = c.let4(c.madd(a, c.f4("mul", t2, horner(c, TANH, t2)), a));
  const t = c.let4(expSmall(c, c.let4(c.f4("mul", c.f4("pmin", a, c.f4const(10)), c.f4const(-2)))));
  const far = c.f4("sub", c.f4const(1), c.f4("div", c.f4("add", t, t), c.f4("add", t, c.f4const(1))));
  return copySign(c, c.v("bitselect", far, near, c.f4("ge", a, c.f4const(0.65))), x);
};

/** x + x·P(x²) for |x| < 1; 1 − e^(−a·Q(a)) elsewhere, which is 1 from a = 3.92 on. */
export const erf: MathFunction = (c, value) => {
  const x = c.let4(value);
  const a = c.let4(c.f4("pmin", c.f4("abs", x), c.f4const(4)));
  const t2 = c.let4(c.f4("mul", a, a));
  const near = c.let4(c.madd(a, horner(c, ERF, t2), a));
  const t = expSmall(c, c.let4(c.f4("neg", c.f4("mul", a, horner(c, ERFC, a)))));
  const far = c.f4("sub", c.f4const(1), t);
  return copySign(c, c.v("bitselect", far, near, c.f4("ge", a, c.f4const(1))), x);
};

/**
 * With a = |x|: Φ(−a) = e^(−a²/2)·P((a − 3)/(a + 3))/(a + 3), and Φ(a) = 1 − Φ(−a). a² is taken in two parts, the high one exact, or its
 * rounding would cost a²/2 units. What is below the range of f32 is 0.
 */
export const normalCdf: MathFunction = (c, value) => {
  const x = c.let4(value);
  const size = c.let4(c.f4("abs", x));
  const a = c.let4(c.f4("pmin", size, c.f4const(NORMAL_CDF_END)));
  const high = c.let4(c.v("and", a, c.i4const(0xfffff000)));
  const low = c.f4("mul", c.f4("mul", c.f4("sub", high, a), c.f4const(0.5)), c.f4("add", a, high));
  const power = expSmall(c, c.let4(c.f4("mul", c.f4("mul", high, high), c.f4const(-0.5))), low);
  const r = c.let4(c.f4("div", c.f4const(1), c.f4("add", a, c.f4const(3))));
  const q = c.let4(c.f4("mul", c.f4("sub", a, c.f4const(3)), r));
  const tail = c.f4("mul", c.f4("mul", horner(c, NORMAL_CDF, q), r), power);
  // NaN is not greater than anything
  const below = c.let4(c.v("andnot", tail, c.f4("gt", size, c.f4const(NORMAL_CDF_END))));
  return c.v("bitselect", c.f4("sub", c.f4const(1), below), below, c.f4("gt", x, c.f4const(0)));
};

/** π/2 in two f64 parts; the high one has 33 bits, so n·PIO2_HI is exact for |n| < 2²⁰. */
const PIO2_HI = 1.5707963267341256;
const PIO2_LO = 6.077100506506192e-11;

/** sin(x + quadrants·π/2). The reduction runs in f64, two lanes at a time; beyond |x| ≈ 1e6 results lose meaning but stay in [−1, 1]. */
function circular(c: Code, value: Push, quadrants: number): Push {
  const x = c.let4(value);
  const reduced = (pair: Push): { r: Push; n: Push } => {
    const wide = c.let4(c.op("f64x2.promote_low_f32x4", pair));
    // Adding 0 turns −0 into 0, so that sin(−0) = −0 − 0.
    const n = c.let4(
      c.op("f64x2.add", c.op("f64x2.nearest", c.op("f64x2.mul", wide, c.f64x2const(2 / Math.PI))), c.f64x2const(0)),
    );
    const high = c.op("f64x2.sub", wide, c.op("f64x2.mul", n, c.f64x2const(PIO2_HI)));
    const r = c.op("f64x2.sub", high, c.op("f64x2.mul", n, c.f64x2const(PIO2_LO)));
    return { r: c.let4(c.op("f32x4.demote_f64x2_zero", r)), n: c.let4(c.op("i32x4.trunc_sat_f64x2_s_zero", n)) };
  };
  const low = reduced(x);
  const high = reduced(c.shuffle(x, x, [2, 3, 2, 3]));
  // A reduction that failed (huge x) must not leave [−π/4, π/4]; pmin/pmax with the value first keep NaN.
  const joined = c.shuffle(low.r, high.r, [0, 1, 4, 5]);
  const r = c.let4(c.f4("pmax", c.f4("pmin", joined, c.f4const(0.7853982)), c.f4const(-0.7853982)));
  const quadrant = c.let4(c.i4("add", c.shuffle(low.n, high.n, [0, 1, 4, 5]), c.i4const(quadrants)));
  const t2 = c.let4(c.f4("mul", r, r));
  const sine = c.let4(c.madd(r, c.f4("mul", t2, horner(c, SIN, t2)), r));
  const cosine = c.let4(c.madd(c.f4("mul", t2, t2), horner(c, COS, t2), c.madd(t2, c.f4const(-0.5), c.f4const(1))));
  const odd = c.i4("eq", c.v("and", quadrant, c.i4const(1)), c.i4const(1));
  const magnitude = c.v("bitselect", cosine, sine, odd);
  return c.v("xor", magnitude, c.shift("shl", c.v("and", quadrant, c.i4const(2)), 30));
}

export const sin: MathFunction = (c, value) => {
  const x = c.let4(value);
  // the reduction turns −0 into 0
  return c.v("bitselect", x, circular(c, x, 0), c.f4("eq", x, c.f4const(0)));
};
export const cos: MathFunction = (c, x) => circular(c, x, 1);

/** Functions worth a call; everything else is one or two instructions. */
export const mathFunctions: Readonly<Record<string, MathFunction>> = {
  exp,
  expBelow0,
  log,
  log1p,
  tanh,
  erf,
  normalCdf,
  sin,
  cos,
};
