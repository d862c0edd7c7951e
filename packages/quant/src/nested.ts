/** Double quantisation: the scales of blocks, less their mean, in 8 bits. */
import { NumericsError } from "@lowrank/tensor";
import { LEAST } from "./blockwise.ts";
import { dynamicMap } from "./tables.ts";

export const NESTED_BLOCK = 256;

export interface NestedScales {
  readonly codes: Uint8Array;
  /** Largest magnitude of every 256 scales, after the mean is taken off. */
  readonly absmax: Float32Array;
  /** The mean of the scales. */
  readonly offset: number;
}

const midpoints: Float32Array = Float32Array.from({ length: 255 }, (_, i) => Math.fround(Math.fround(dynamicMap[i]! + dynamicMap[i + 1]!) / 2));

/** @param offset default: the mean in f64, rounded; torch's own differs in its last bits with the backend's order of summation */
export function nestScales(scales: Float32Array, offset: number = Math.fround(scales.reduce((a, b) => a + b, 0) / Math.max(1, scales.length))): NestedScales {
  if (!scales.every(Number.isFinite)) throw new NumericsError(`double quantisation: scale ${scales.findIndex((s) => !Number.isFinite(s))} is not finite`);
  const codes = new Uint8Array(scales.length);
  const absmax = new Float32Array(Math.ceil(scales.length / NESTED_BLOCK));
  for (let block = 0; block < absmax.length; block++) {
    const [from, to] = [block * NESTED_BLOCK, Math.min(scales.length, (block + 1) * NESTED_BLOCK)];
    let largest = 0;
    for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(Math.fround(scales[i]! - offset)));
    const clamped = Math.max(largest, LEAST);
    absmax[block] = clamped;
    const inverse = Math.fround(1 / clamped);
    const whole = to - from === NESTED_BLOCK;
    for (let i = from; i < to; i++) {
      const x = Math.fround(scales[i]! - offset);
      codes[i] = nearest(Math.fround(whole ? x * inverse : x / clamped));
    }
  }
  return { codes, absmax, offset };
}

export function unnestScales({ codes, absmax, offset }: NestedScales): Float32Array {
  return Float32Array.from(codes, (code, i) => Math.fround(dynamicMap[code]! * absmax[Math.floor(i / NESTED_BLOCK)]!) + offset);
}

/** Index of the nearest entry of the dynamic map; a tie goes down. */
function nearest(x: number): number {
  let low = 0;
  let high = 255;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (x > midpoints[mid]!) low = mid + 1;
    else high = mid;
  }
  return low;
}
