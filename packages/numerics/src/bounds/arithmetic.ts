/**
 * How far functions of one number may be off on a device, in units of the last place of the result. `ieee` is what CPUs and the interpreter
 * keep: + − · / √ correctly rounded, the rest as measured over dense samples in wasm/loop/math.ts and held by tests. `wgsl` is WGSL's
 * accuracy table for what is built in, and for the rest the same polynomials.
 */
import type { Tensor } from "@lowrank/tensor";

export type Node = Tensor["node"];
type Lowering = Node["primitive"]["lowering"];
export type UnaryOp = Extract<Lowering, { class: "unary" }>["op"];
export type BinaryOp = Extract<Lowering, { class: "binary" }>["op"];

export type Arithmetic = "ieee" | "wgsl";

/** 0 where the result is exact or correctly rounded: the rounding itself is `settle`'s. */
export const ULPS: Readonly<Record<Arithmetic, Partial<Record<UnaryOp | "div", number>>>> = {
  ieee: {
    exp: 1.3,
    log: 0.9,
    log1p: 1.5,
    tanh: 1.4,
    erf: 1.2,
    normalCdf: 5.3,
    sin: 1.6,
    cos: 1.6,
    // 1/√x: the root is half a unit off, which is up to one of the quotient's, and the quotient another half
    rsqrt: 1.5,
  },
  wgsl: {
    div: 2.5,
    recip: 2.5,
    exp: 2,
    log: 2,
    // 1 + x is rounded once where |ln(1 + x)| ≥ 0.34: 0.5·2⁻²³/0.34 more
    log1p: 3.5,
    tanh: 3,
    erf: 2,
    // two exponentials and a division
    normalCdf: 8,
    sin: 2,
    cos: 2,
    // WGSL inherits √x from 1/inverseSqrt(x): 2 units and a division
    sqrt: 5,
    rsqrt: 7.5,
  },
};

/** What no rounding crosses: each implementation keeps to it. */
export const LIMITS: Partial<Record<UnaryOp, readonly [number, number]>> = {
  exp: [0, Infinity],
  sqrt: [0, Infinity],
  rsqrt: [0, Infinity],
  tanh: [-1, 1],
  erf: [-1, 1],
  normalCdf: [0, 1],
};

/**
 * Where a compiler may reassociate (WGSL: "implementations may reassociate"; drivers fold constants of x·c·d), an exact operation may be
 * replaced by one that rounds: each sum and product is charged half a unit of the magnitudes that meet in it, exact or not.
 */
export const REASSOCIATES: Readonly<Record<Arithmetic, boolean>> = { ieee: false, wgsl: true };

/** Beyond, the reduction of an argument of sine and cosine loses digits, and only [−1, 1] is promised. */
export const CIRCULAR_RANGE: Readonly<Record<Arithmetic, number>> = { ieee: 1e5, wgsl: 1e4 };
/**
 * Where sine and cosine are small WGSL's promise is absolute (2⁻¹¹; ours comes from a reduction in f32 whose remainder is off by 2⁻²⁶):
 * units there are those of a result of at least this size.
 */
export const CIRCULAR_FLOOR: Readonly<Record<Arithmetic, number>> = { ieee: 0, wgsl: 0.25 };

/** What a device of that name promises. */
export function arithmeticOf(device: { readonly name: string }): Arithmetic {
  return device.name === "webgpu" ? "wgsl" : "ieee";
}
