/**
 * Double quantization: the scales of blocks, less their mean, in 8 bits: the bytes that bitsandbytes 0.50 makes on an x86 CPU.
 *
 * Two things there are not what the formula says. The mean is an f32 sum, whose last bits depend on the order of additions
 * (`torchMean`). And a code is looked up on a grid of 65,536 points in [−1, 1], so it is the code nearest to the nearest grid point: off
 * the nearest code by what lies within half a step, at most 4 codes, beside zero where codes are closest.
 *
 * Other backends give other bytes for the same scales: GPUs add in another order and compare with midpoints, and torch splits a sum of
 * 32,768 scales or more among its threads. Each decodes to within (0.0070313 + 2^-16)·absmax + 4·2^-24·(absmax + |offset|) of the scale:
 * half the widest gap of the map, half a step of the grid, and the roundings of taking the mean off and putting it back. The mean itself
 * does not matter, since what is taken off is put back. Two backends therefore differ by no more than twice that.
 */
import { NumericsError, ShapeError } from "@lowrank/tensor";
import { LEAST } from "./blockwise.ts";
import { dynamicMap } from "./tables.ts";
import { torchMean } from "./torch-mean.ts";

export const NESTED_BLOCK = 256;

export interface NestedScales {
  readonly codes: Uint8Array;
  /** Largest magnitude of every 256 scales, after the mean is taken off. */
  readonly absmax: Float32Array;
  /** The mean of the scales. */
  readonly offset: number;
}

const midpoints: Float32Array = Float32Array.from(
  { length: 255 },
  (_, i) => Math.fround(dynamicMap[i]! + dynamicMap[i + 1]!) / 2,
);

/**
 * @param offset default: the mean
 * @throws NumericsError naming `name` and the scale that is not finite, or where their sum is beyond f32
 */
export function nestScales(
  scales: Float32Array,
  offset: number = torchMean(scales),
  name = "double quantization",
): NestedScales {
  const bad = scales.findIndex((s) => !Number.isFinite(s));
  if (bad >= 0) throw new NumericsError(`${name}: scale ${bad} is ${scales[bad]}; only finite scales can be quantized`);
  if (!Number.isFinite(offset))
    throw new NumericsError(
      `${name}: the scales add up to more than f32 holds, so their mean is ${offset}; quantize without doubleQuantization`,
    );
  const codes = new Uint8Array(scales.length);
  const absmax = new Float32Array(Math.ceil(scales.length / NESTED_BLOCK));
  for (let block = 0; block < absmax.length; block++) {
    const [from, to] = [block * NESTED_BLOCK, Math.min(scales.length, (block + 1) * NESTED_BLOCK)];
    let largest = 0;
    for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(Math.fround(scales[i]! - offset)));
    absmax[block] = Math.max(largest, LEAST);
    const inverse = Math.fround(1 / absmax[block]!);
    for (let i = from; i < to; i++)
      codes[i] = largest === 0 ? ZERO : codeOf(Math.fround(Math.fround(scales[i]! - offset) * inverse));
  }
  return { codes, absmax, offset };
}

export function unnestScales({ codes, absmax, offset }: NestedScales): Float32Array {
  if (absmax.length !== Math.ceil(codes.length / NESTED_BLOCK))
    throw new ShapeError(
      `unnestScales: ${codes.length} scales need ${Math.ceil(codes.length / NESTED_BLOCK)} scales of their own, not ${absmax.length}`,
    );
  return Float32Array.from(
    codes,
    (code, i) => Math.fround(dynamicMap[code]! * absmax[Math.floor(i / NESTED_BLOCK)]!) + offset,
  );
}

const GRID = 65_535;
/** Code of the number 0, which is no grid point. A block of zeros has it on GPUs; on a CPU it has code 0, times a scale of 0. */
const ZERO = 127;

/** Index of the entry of the dynamic map nearest to the grid point nearest to x; a tie goes down. */
function codeOf(x: number): number {
  const clamped = Math.min(1, Math.max(-1, x));
  const point = Math.floor(Math.fround(Math.fround(Math.fround(clamped + 1) / 2) * GRID + 0.5));
  const snapped = Math.fround(Math.fround((2 * point) / GRID) - 1);
  let low = 0;
  let high = 255;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (snapped > midpoints[mid]!) low = mid + 1;
    else high = mid;
  }
  return low;
}
