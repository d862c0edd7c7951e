/**
 * An enclosure holds, for each element of a node, what the f64 reference has and an interval in which every device that computes in f32
 * as it should must land. Three facts keep the intervals narrow:
 *
 * - rounding is monotone: what correctly rounded operations may give for a real number in [l, h] lies in [fl(l), fl(h)], and a device that
 *   fuses the next operation and does not round at all stays in [l, h]. So an exact result costs nothing;
 * - a monotone function of an interval is the interval of its ends; only the units that its implementation may be off come on top;
 * - f16 and bf16 are rounded where a node has that dtype, stored or not (`round` of the kernel IR), so there the ends are rounded and no more.
 *
 * An interval of all numbers claims nothing, NaN included. An element that must be NaN has NaN for both ends.
 */
import { isFloat, roundTo, type DType } from "@lowrank/tensor";

/** u = 2⁻²⁴, half a unit in the last place of f32 between 1 and 2. */
export const UNIT: number = 2 ** -24;
export const SMALLEST_NORMAL: number = 2 ** -126;

export const LARGEST_SINGLE: number = (2 - 2 ** -23) * 2 ** 127;

export interface Enclosure {
  readonly shape: readonly number[];
  /** The reference's. */
  readonly value: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/** The ends that a rule finds for a node's real result, before it is rounded to the node's dtype. */
export interface Ends {
  readonly low: Float64Array;
  readonly high: Float64Array;
}

export function makeEnds(size: number): Ends {
  return { low: new Float64Array(size), high: new Float64Array(size) };
}

/** Both ends the same; `settle` still rounds them. */
export function exactly(value: Float64Array): Ends {
  return { low: value, high: value };
}

export function claimNothing(ends: Ends, i: number): void {
  ends.low[i] = -Infinity;
  ends.high[i] = Infinity;
}

/** Whether nothing is known of element i: it may even be NaN. */
export function unclaimed(x: Ends, i: number): boolean {
  return x.low[i] === -Infinity && x.high[i] === Infinity;
}

/** Whether element i is known to the last bit. */
export function isPoint(x: Ends, i: number): boolean {
  return x.low[i] === x.high[i] || (Number.isNaN(x.low[i]) && Number.isNaN(x.high[i]));
}

const f64 = new Float64Array(1);
const words = new Uint32Array(f64.buffer);

/** One unit in the last place of an f32 as large as x. */
export function ulp(x: number): number {
  f64[0] = x;
  return 2 ** (Math.max(((words[1]! >>> 20) & 0x7ff) - 1023, -126) - 23);
}

/**
 * How far a sum of n terms in f32 may be off, in multiples of u·Σ|terms|. Whatever the order, each term passes through at most n − 1
 * roundings (Higham, "Accuracy and Stability of Numerical Algorithms", §4.2): `roundings`. In long sums roundings of both signs meet:
 * with probability 1 − 2n·e^(−λ²/2) the error stays below λ·√n (Higham & Mary, "A new approach to probabilistic rounding error analysis",
 * SIAM J. Sci. Comput. 41, 2019); λ = 8 fails once in 10¹³ sums.
 */
export function sumFactor(roundings: number): number {
  return Math.min(roundings, 8 * Math.sqrt(roundings)) * UNIT;
}

/** f64's largest number stands for the largest there is: a device has f32's in its place, and not infinity. */
function toSingle(x: number): number {
  return Math.abs(x) === Number.MAX_VALUE ? Math.sign(x) * LARGEST_SINGLE : Math.fround(x);
}

/**
 * Rounds the ends as the dtype does and puts right what arithmetic on infinite ends could not say.
 * @param computed whether the result comes from arithmetic, which may flush subnormal results to zero (WGSL says so, and exponentials
 * of softmax do it on wasm), and is not just moved
 */
export function settle(
  shape: readonly number[],
  dtype: DType,
  value: Float64Array,
  ends: Ends,
  computed: boolean,
): Enclosure {
  const low = ends.low === value ? value.slice() : ends.low;
  const high = ends.high === value || ends.high === ends.low ? ends.high.slice() : ends.high;
  const half = dtype === "f16" || dtype === "bf16";
  const rounded = half ? { low: roundTo(dtype, low), high: roundTo(dtype, high) } : undefined;
  for (let i = 0; i < value.length; i++) {
    let [l, h] = [low[i]!, high[i]!];
    const v = value[i]!;
    if (rounded !== undefined) [l, h] = [rounded.low[i]!, rounded.high[i]!];
    else if (isFloat(dtype)) [l, h] = [Math.min(l, toSingle(l)), Math.max(h, toSingle(h))];
    if (computed && l > 0 && l < SMALLEST_NORMAL) l = 0;
    if (computed && h < 0 && h > -SMALLEST_NORMAL) h = 0;
    if (Number.isNaN(v) ? !(Number.isNaN(l) && Number.isNaN(h)) : Number.isNaN(l) || Number.isNaN(h))
      [l, h] = [-Infinity, Infinity];
    // f64 rounds too: the reference's own value is always inside
    low[i] = Math.min(l, v);
    high[i] = Math.max(h, v);
    if (l === -Infinity && h === Infinity) claimNothing({ low, high }, i);
  }
  return { shape, value, low, high };
}
