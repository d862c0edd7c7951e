/** Functions of one number on a device, in units of the last place: how many results are how far off, and whether any is beyond what is documented. */
import { ops, type Device } from "@lowrank/tensor";
import { arithmeticOf, CIRCULAR_FLOOR, unitsOf, type Arithmetic, type UnaryOp } from "./bounds/arithmetic.ts";
import { SMALLEST_NORMAL, ulp } from "./bounds/enclosure.ts";

/** A bar of the histogram is half a unit wide: the first holds what is correctly rounded. */
const BAR = 0.5;
const POINTS = 1 << 14;

export type UlpOp =
  | "exp"
  | "log"
  | "log1p"
  | "sqrt"
  | "rsqrt"
  | "reciprocal"
  | "tanh"
  | "erf"
  | "normalCdf"
  | "sin"
  | "cos";

/** Where each function is looked at: a range of numbers, evenly, and one of bit patterns, so that every binade counts alike. */
interface Domain {
  readonly even: readonly [number, number];
  /** Positive; where `both`, the negative ones too. */
  readonly bits: readonly [number, number];
  readonly both?: boolean;
}

const HUGE = 3e38;
const DOMAINS: Readonly<Record<UlpOp, Domain>> = {
  exp: { even: [-87, 88], bits: [SMALLEST_NORMAL, 80], both: true },
  log: { even: [0.5, 2], bits: [SMALLEST_NORMAL, HUGE] },
  log1p: { even: [-0.999, 3], bits: [SMALLEST_NORMAL, HUGE] },
  sqrt: { even: [0, 20], bits: [SMALLEST_NORMAL, HUGE] },
  rsqrt: { even: [0.05, 20], bits: [SMALLEST_NORMAL, HUGE] },
  // beyond 2^±125 the quotient is subnormal
  reciprocal: { even: [0.1, 10], bits: [2 ** -125, 2 ** 125], both: true },
  tanh: { even: [-10, 10], bits: [SMALLEST_NORMAL, 100], both: true },
  // its terms are an eighth of x: from 2⁻¹²² on none is subnormal
  erf: { even: [-4.5, 4.5], bits: [2 ** -122, 100], both: true },
  normalCdf: { even: [-12.5, 9], bits: [SMALLEST_NORMAL, 10], both: true },
  sin: { even: [-100, 100], bits: [SMALLEST_NORMAL, 1000], both: true },
  cos: { even: [-100, 100], bits: [SMALLEST_NORMAL, 1000], both: true },
};

/** The functions that `ulpHistogram` knows. */
export const ULP_OPS: readonly UlpOp[] = Object.keys(DOMAINS) as UlpOp[];

export interface UlpHistogram {
  readonly op: UlpOp;
  readonly points: number;
  /** Results that are off by [k/2, (k + 1)/2) units, for each k. */
  readonly bars: readonly number[];
  /** The result that is furthest off. */
  readonly worst: { readonly ulps: number; readonly at: number; readonly got: number; readonly want: number };
  /** Units that are documented for this kind of device. */
  readonly documented: number;
}

export interface UlpOptions {
  /** Arguments that are tried. Default 16384. */
  readonly points?: number;
  /** What the device promises. Default: WGSL's table on `webgpu`, else IEEE 754's. */
  readonly arithmetic?: Arithmetic;
}

/** @param op one of `ULP_OPS` */
export async function ulpHistogram(device: Device, op: UlpOp, options: UlpOptions = {}): Promise<UlpHistogram> {
  const arithmetic = options.arithmetic ?? arithmeticOf(device);
  const x = pointsOf(DOMAINS[op], options.points ?? POINTS);
  const y = ops[op](device.tensor(x, [x.length], "f32"));
  const { lowering, reference } = y.node.primitive;
  const instruction = (lowering as { op: UnaryOp }).op;
  const want = reference([{ shape: [x.length], data: Float64Array.from(x) }], {}, [x.length]);
  const got = await y.floats();
  const floor = instruction === "sin" || instruction === "cos" ? CIRCULAR_FLOOR[arithmetic] : 0;
  const bars: number[] = [];
  let worst = { ulps: 0, at: x[0]!, got: got[0]!, want: want[0]! };
  want.forEach((w, i) => {
    // WGSL flushes subnormal results to zero
    const flushed = Math.abs(w) < SMALLEST_NORMAL && got[i] === 0;
    const off = flushed ? 0 : Math.abs(got[i]! - w) / ulp(Math.max(Math.abs(w), floor));
    const ulps = Number.isNaN(off) ? Infinity : off;
    const bar = Math.min(Math.floor(ulps / BAR), 64);
    while (bars.length <= bar) bars.push(0);
    bars[bar]!++;
    if (ulps > worst.ulps) worst = { ulps, at: x[i]!, got: got[i]!, want: w };
  });
  return { op, points: x.length, bars, worst, documented: unitsOf(instruction, arithmetic) || BAR };
}

/** A line for each bar that holds something: its lower end in units, a bar of 40 characters at most, how many results. */
export function formatUlpHistogram(histogram: UlpHistogram): string {
  const { op, points, bars, worst, documented } = histogram;
  const title = `${op}: ${worst.ulps.toFixed(2)} units at ${worst.at.toPrecision(9)}, ${documented} documented, ${points} points`;
  const most = Math.max(...bars);
  const lines = bars.map((count, k) => {
    const length = count === 0 ? 0 : Math.max(1, Math.round((40 * count) / most));
    return `  ${(k * BAR).toFixed(1).padStart(4)} ${"█".repeat(length).padEnd(40)} ${count}`;
  });
  return [title, ...lines].join("\n");
}

function pointsOf({ even, bits, both }: Domain, count: number): Float32Array {
  const half = Math.ceil(count / 2);
  const ends = new Int32Array(Float32Array.of(bits[0], bits[1]).buffer);
  const patterns = Int32Array.from({ length: count - half }, (_, i) =>
    Math.round(ends[0]! + ((ends[1]! - ends[0]!) * i) / Math.max(1, count - half - 1)),
  );
  const spread = new Float32Array(patterns.buffer);
  return Float32Array.from({ length: count }, (_, i) => {
    if (i < half) return even[0] + ((even[1] - even[0]) * i) / Math.max(1, half - 1);
    const x = spread[i - half]!;
    return both === true && i % 2 === 1 ? -x : x;
  });
}
