/**
 * When a result is wrong. Everywhere: when it lies outside of its enclosure (`errorBound`), element by element.
 *
 * In the tails of an elementwise function (`TensorSample.tails`), where it is small or close to a limit, the enclosure would excuse a
 * composition that loses every digit (1 + erf x, 1 − tanh² x), since it bounds what was written. There a result must also be right relative to
 * itself: within (1 + κ)·tail·u of it, where the condition number κ = |x·f′(x)/f(x)| is what one rounding of the argument costs (−x²/2 before
 * e^x: κ ≈ x²). The factor is that of the class: 8 for a function that meets it by itself (4 ulp, documented bounds are below 2.4), 16 and 32
 * for the few roundings on the way of a composition and of its gradient.
 */
import type { ToleranceClass } from "@lowrank/tensor/records";
import { SMALLEST_NORMAL, UNIT, type Enclosure } from "./bounds/enclosure.ts";

interface TailBound {
  /** Of the result in a function's tails, in (1 + κ)·u. */
  readonly tail: number;
}

export const TOLERANCES: Readonly<Record<ToleranceClass, TailBound>> = {
  exact: { tail: 0 },
  arithmetic: { tail: 4 },
  transcendental: { tail: 8 },
  reduction: { tail: 16 },
  row: { tail: 16 },
};

/** Gradients are compositions whatever the op is. */
export const GRADIENT_TOLERANCE: TailBound = { tail: 32 };

export interface Mismatch {
  readonly index: number;
  readonly got: number;
  readonly want: number;
  readonly allowed: number;
}

/** What a device's rounding to f32 has where f64 still has a number. */
const LARGEST = 3.4028234e38;

/** The element that is furthest outside of its enclosure, as a multiple of what it may be off; undefined where all are inside. */
export function findOutside(got: Float64Array, bound: Enclosure): Mismatch | undefined {
  const { value, low, high } = bound;
  return worstOf(got, value, (i) => {
    const g = got[i]!;
    if (low[i] === -Infinity && high[i] === Infinity) return undefined;
    if (Number.isNaN(low[i])) return Number.isNaN(g) ? undefined : 0;
    if (g >= low[i]! && g <= high[i]!) return undefined;
    return Math.max(high[i]! - value[i]!, value[i]! - low[i]!);
  });
}

/** The same in a function's tails. @param condition κ of each element */
export function findTailMismatch(
  got: Float64Array,
  want: Float64Array,
  bound: TailBound,
  condition: Float64Array,
): Mismatch | undefined {
  return worstOf(got, want, (i) => {
    const [g, w] = [got[i]!, want[i]!];
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) return undefined;
    if (Math.abs(w) > LARGEST && g === Math.sign(w) * Infinity) return undefined;
    // results below the smallest normal f32 may be flushed to zero
    const allowed = UNIT * bound.tail * (1 + condition[i]!) * Math.abs(w) + SMALLEST_NORMAL;
    return Math.abs(g - w) <= allowed ? undefined : allowed;
  });
}

/** @param allowed what element i may be off where it is off by more, else undefined */
function worstOf(
  got: Float64Array,
  want: Float64Array,
  allowed: (index: number) => number | undefined,
): Mismatch | undefined {
  if (got.length !== want.length) return { index: -1, got: got.length, want: want.length, allowed: 0 };
  let worst: Mismatch | undefined;
  let excess = -1;
  want.forEach((w, index) => {
    const may = allowed(index);
    if (may === undefined) return;
    const off = Math.abs(got[index]! - w) / may;
    const over = Number.isNaN(off) ? Infinity : off;
    if (over > excess) {
      excess = over;
      worst = { index, got: got[index]!, want: w, allowed: may };
    }
  });
  return worst;
}

/** The part of what it may be off that each element is off, the largest of them; 0 where all are exact. */
export function largestShare(got: Float64Array, { value, low, high }: Enclosure): number {
  return value.reduce((most, v, i) => {
    const may = got[i]! > v ? high[i]! - v : v - low[i]!;
    const off = Math.abs(got[i]! - v);
    return off > 0 && may > 0 && Number.isFinite(may) ? Math.max(most, off / may) : most;
  }, 0);
}
