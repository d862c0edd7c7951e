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
 *
 * In the tails of an elementwise function (`TensorSample.tails`), where it is small or close to a limit, a sum of magnitudes would excuse the
 * loss of every digit (1 + erf x, 1 − tanh² x). There a result must be right relative to itself: within (1 + κ)·tail·u of it, where the
 * condition number κ = |x·f′(x)/f(x)| is what one rounding of the argument costs (−x²/2 before e^x: κ ≈ x²). The factor is that of the class:
 * 8 for a function that meets it by itself, 16 and 32 for the few roundings on the way of a composition and of its gradient.
 */
import type { ToleranceClass } from "@lowrank/tensor";

export const UNIT: number = 2 ** -24;
export const SMALLEST_NORMAL: number = 2 ** -126;

interface Bound {
  /** Of the result, in u. */
  readonly relative: number;
  /** Of the magnitudes that went in, in u. */
  readonly scale: number;
  /** Of the result in a function's tails, in (1 + κ)·u. */
  readonly tail: number;
}

export const TOLERANCES: Readonly<Record<ToleranceClass, Bound>> = {
  exact: { relative: 0, scale: 0, tail: 0 },
  arithmetic: { relative: 4, scale: 0, tail: 4 },
  transcendental: { relative: 8, scale: 1, tail: 8 },
  reduction: { relative: 8, scale: 16, tail: 16 },
  row: { relative: 16, scale: 16, tail: 16 },
};

/** Gradients are compositions whatever the op is. */
export const GRADIENT_TOLERANCE: Bound = { relative: 32, scale: 32, tail: 32 };

export interface Mismatch {
  readonly index: number;
  readonly got: number;
  readonly want: number;
  readonly allowed: number;
}

/**
 * The worst element outside the bound, or undefined.
 * @param scale magnitude of what went into the result
 */
export function findMismatch(got: Float64Array, want: Float64Array, bound: Bound, scale: number): Mismatch | undefined {
  return worstOf(got, want, (w) => UNIT * (bound.relative * Math.abs(w) + bound.scale * scale));
}

/** The same in a function's tails. @param condition κ of each element */
export function findTailMismatch(
  got: Float64Array,
  want: Float64Array,
  bound: Bound,
  condition: Float64Array,
): Mismatch | undefined {
  return worstOf(got, want, (w, i) => UNIT * bound.tail * (1 + condition[i]!) * Math.abs(w));
}

function worstOf(
  got: Float64Array,
  want: Float64Array,
  bound: (want: number, index: number) => number,
): Mismatch | undefined {
  if (got.length !== want.length) return { index: -1, got: got.length, want: want.length, allowed: 0 };
  let worst: Mismatch | undefined;
  let excess = 0;
  want.forEach((w, index) => {
    const g = got[index]!;
    if (Object.is(g, w) || g === w || (Number.isNaN(g) && Number.isNaN(w))) return;
    // beyond the range of f32 the device has infinity where f64 still has a number
    if (Math.abs(w) > 3.4028234e38 && g === Math.sign(w) * Infinity) return;
    const allowed = bound(w, index) + SMALLEST_NORMAL;
    const over = Math.abs(g - w) - allowed;
    if (over > excess || Number.isNaN(over)) {
      excess = Number.isNaN(over) ? Infinity : over;
      worst = { index, got: g, want: w, allowed };
    }
  });
  return worst;
}
