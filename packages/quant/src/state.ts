/** A weight in four bits on the host, with quantized scales where that is asked for: what bitsandbytes calls QuantState, and its codes. */
import { NumericsError, ShapeError, sizeOf } from "@lowrank/tensor";
import { checkOptions, fields, type Rule } from "@lowrank/tensor/check";
import { dequantizeBlocks, quantizeBlocks } from "./blockwise.ts";
import { NESTED_BLOCK, nestScales, unnestScales, type NestedScales } from "./nested.ts";
import { FOUR_BIT, FOUR_BIT_SPELT, type FourBitOptions } from "./options.ts";
import type { FourBitType } from "./tables.ts";

/** A four-bit tensor on the host: what a bitsandbytes file holds. */
export interface FourBitState {
  readonly type: FourBitType;
  readonly blockSize: number;
  readonly shape: readonly number[];
  readonly codes: Uint8Array;
  /** Plain scales, or quantized ones. */
  readonly scales: Float32Array | NestedScales;
  /** dtype of the weight before, as torch spells it. */
  readonly sourceDType: string;
}

const OPTIONS: Rule<FourBitOptions> = fields(FOUR_BIT, { spelt: FOUR_BIT_SPELT });

/** With the defaults filled in. @throws LowrankError (ConfigError) naming the key that is wrong */
export function fourBitOptions(source: string, options: FourBitOptions): Required<FourBitOptions> {
  return { type: "nf4", blockSize: 64, doubleQuantization: true, ...checkOptions(source, OPTIONS, options) };
}

/** @throws NumericsError naming `name` and the element that is not finite, or the scale that decodes to more than `sourceDType` holds */
export function quantizeFourBit(
  values: Float32Array,
  shape: readonly number[],
  options: FourBitOptions = {},
  name = "tensor",
  sourceDType = "float32",
): FourBitState {
  const { type, blockSize, doubleQuantization } = fourBitOptions("quantizeFourBit", options);
  if (values.length !== sizeOf(shape))
    throw new ShapeError(`quantizeFourBit: ${name} has ${values.length} values and the shape [${shape.join(", ")}]`);
  const { codes, absmax } = quantizeBlocks(values, type, blockSize, name);
  return {
    type,
    blockSize,
    shape,
    codes,
    scales: storedScales(absmax, doubleQuantization, name, sourceDType),
    sourceDType,
  };
}

/** Largest finite numbers of what bitsandbytes decodes to. */
const LARGEST: Readonly<Record<string, number>> = {
  float16: 65504,
  bfloat16: 3.3895313892515355e38,
  float32: 3.4028234663852886e38,
};

/** Scales as they are kept. What they decode to is checked, since it is that, and not the scale, which has to fit the weight's dtype. */
export function storedScales(
  absmax: Float32Array,
  doubleQuantization: boolean,
  name: string,
  sourceDType: string,
): Float32Array | NestedScales {
  const scales = doubleQuantization ? nestScales(absmax, undefined, name) : absmax;
  const decoded = scales instanceof Float32Array ? scales : unnestScales(scales);
  const largest = LARGEST[sourceDType] ?? Infinity;
  const bad = decoded.findIndex((s) => !(Math.abs(s) <= largest));
  if (bad >= 0)
    throw new NumericsError(
      `${name}: the scale of block ${bad} decodes to ${decoded[bad]}, and ${sourceDType} ends at ${largest}; ${doubleQuantization ? "quantize without doubleQuantization" : "give the weight as float32"}`,
    );
  return scales;
}

/** The numbers a state stands for, in f32, row-major in its shape. */
export function dequantizeFourBit({ type, blockSize, shape, codes, scales }: FourBitState): Float32Array {
  const absmax = scales instanceof Float32Array ? scales : unnestScales(scales);
  return dequantizeBlocks({ codes, absmax }, type, sizeOf(shape), blockSize);
}

/** A state of zeros. */
export function emptyState(type: FourBitType, shape: readonly number[], options: FourBitOptions): FourBitState {
  const { blockSize, doubleQuantization } = fourBitOptions("emptyState", options);
  const blocks = Math.ceil(sizeOf(shape) / blockSize);
  const scales = doubleQuantization
    ? { codes: new Uint8Array(blocks), absmax: new Float32Array(Math.ceil(blocks / NESTED_BLOCK)), offset: 0 }
    : new Float32Array(blocks);
  return {
    type,
    blockSize,
    shape,
    codes: new Uint8Array(Math.ceil(sizeOf(shape) / 2)),
    scales,
    sourceDType: "float32",
  };
}

/** Bytes of codes and scales for n elements, without the tables every weight shares. */
export function fourBitBytes(n: number, options: FourBitOptions = {}): number {
  const { blockSize, doubleQuantization } = fourBitOptions("fourBitBytes", options);
  const blocks = Math.ceil(n / blockSize);
  return Math.ceil(n / 2) + (doubleQuantization ? blocks + 4 * Math.ceil(blocks / NESTED_BLOCK) + 4 : 4 * blocks);
}
