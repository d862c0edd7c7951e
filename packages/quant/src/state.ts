/** A weight in four bits on the host, with quantised scales where that is asked for: what bitsandbytes calls QuantState, and its codes. */
import { sizeOf } from "@lowrank/tensor";
import { dequantiseBlocks, quantiseBlocks } from "./blockwise.ts";
import { NESTED_BLOCK, nestScales, unnestScales, type NestedScales } from "./nested.ts";
import type { FourBitType } from "./tables.ts";

export interface FourBitOptions {
  /** Default nf4. */
  readonly type?: FourBitType;
  /** Elements that share a scale. Default 64. */
  readonly blockSize?: number;
  /** Whether scales are quantised too: 4.13 instead of 4.5 bits an element. Default true. */
  readonly doubleQuantisation?: boolean;
}

/** A four-bit tensor on the host: what a bitsandbytes file holds. */
export interface FourBitState {
  readonly type: FourBitType;
  readonly blockSize: number;
  readonly shape: readonly number[];
  readonly codes: Uint8Array;
  /** Plain scales, or quantised ones. */
  readonly scales: Float32Array | NestedScales;
  /** dtype of the weight before, as torch spells it. */
  readonly sourceDType: string;
}

export function quantiseFourBit(values: Float32Array, shape: readonly number[], options: FourBitOptions = {}, name = "tensor", sourceDType = "float32"): FourBitState {
  const { type = "nf4", blockSize = 64, doubleQuantisation = true } = options;
  const { codes, absmax } = quantiseBlocks(values, type, blockSize, name);
  return { type, blockSize, shape, codes, scales: doubleQuantisation ? nestScales(absmax, undefined, name) : absmax, sourceDType };
}

/** The numbers a state stands for, in f32, row-major in its shape. */
export function dequantiseFourBit({ type, blockSize, shape, codes, scales }: FourBitState): Float32Array {
  const absmax = scales instanceof Float32Array ? scales : unnestScales(scales);
  return dequantiseBlocks({ codes, absmax }, type, sizeOf(shape), blockSize);
}

/** Bytes of codes and scales for n elements, without the tables every weight shares. */
export function fourBitBytes(n: number, { blockSize = 64, doubleQuantisation = true }: FourBitOptions = {}): number {
  const blocks = Math.ceil(n / blockSize);
  return Math.ceil(n / 2) + (doubleQuantisation ? blocks + 4 * Math.ceil(blocks / NESTED_BLOCK) + 4 : 4 * blocks);
}
