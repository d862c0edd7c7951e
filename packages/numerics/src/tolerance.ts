/**
 * How far a device may be from f64, by kind of op. One table for every test.
 *
 * u = 2⁻²⁴ is half a unit in the last place of f32. With S the sum of magnitudes that flow into a result:
 * - exact: bits are moved, nothing is computed;
 * - arithmetic: a few correctly rounded operations, each off by u relative;
 * - transcendental: documented bounds are at most 2.4 ulp (wasm, WebGPU); 4 ulp = 8u is the gate;
 * - reduction: a sum of n terms in blocks is off by at most (block + n/block)·u·Σ|x|, 16u·Σ|x| for the sizes sampled here;
 * - row: exponentials, sums and divisions one after another, each amplifying what came before by a small factor.
 * Results below the smallest normal f32 may be flushed to zero: WebGPU allows it.
 */
import type { ToleranceClass } from "@lowrank/tensor";

export const UNIT: number = 2 ** -24;
export const SMALLEST_NORMAL: number = 2 ** -126;

interface Bound {
  /** Of the result, in u. */
  readonly relative: number;
  /** Of the magnitudes that went in, in u. */
  readonly scale: number;
}

export const TOLERANCES: Readonly<Record<ToleranceClass, Bound>> = {
  exact: { relative: 0, scale: 0 },
  arithmetic: { relative: 4, scale: 0 },
  transcendental: { relative: 8, scale: 1 },
  reduction: { relative: 8, scale: 16 },
  row: { relative: 16, scale: 16 },
};

/** Gradients are compositions whatever the op is. */
export const GRADIENT_TOLERANCE: Bound = { relative: 32, scale: 32 };

export interface Mismatch { readonly index: number; readonly got: number; readonly want: number; readonly allowed: number }

/**
 * The worst element outside the bound, or undefined.
 * @param scale magnitude of what went into the result
 */
export function findMismatch(got: Float64Array, want: Float64Array, bound: Bound, scale: number): Mismatch | undefined {
  if (got.length !== want.length) return { index: -1, got: got.length, want: want.length, allowed: 0 };
  let worst: Mismatch | undefined;
  let excess = 0;
  want.forEach((w, index) => {
    const g = got[index]!;
    if (Object.is(g, w) || g === w || (Number.isNaN(g) && Number.isNaN(w))) return;
    // beyond the range of f32 the device has infinity where f64 still has a number
    if (Math.abs(w) > 3.4028234e38 && g === Math.sign(w) * Infinity) return;
    const allowed = UNIT * (bound.relative * Math.abs(w) + bound.scale * scale) + SMALLEST_NORMAL;
    const over = Math.abs(g - w) - allowed;
    if (over > excess || Number.isNaN(over)) {
      excess = Number.isNaN(over) ? Infinity : over;
      worst = { index, got: g, want: w, allowed };
    }
  });
  return worst;
}
