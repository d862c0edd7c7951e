/** Rules of option objects that several functions share. */
import { LowrankError } from "@lowrank/tensor";
import { anyOf, flag, instance, name, oneOf, optional, type Rule, type Rules } from "@lowrank/tensor/check";
import { BLOCK_SIZES } from "./blockwise.ts";
import type { FourBitType } from "./tables.ts";

export interface FourBitOptions {
  /** Default nf4. */
  readonly type?: FourBitType;
  /** Elements that share a scale. Default 64. */
  readonly blockSize?: number;
  /** Whether scales are quantized too: 4.13 instead of 4.5 bits an element. Default true. */
  readonly doubleQuantization?: boolean;
}

export const BLOCK_SIZE: Rule<number> = oneOf(...BLOCK_SIZES);

export const FOUR_BIT: Rules<FourBitOptions> = {
  type: optional(oneOf("nf4", "fp4")),
  blockSize: optional(BLOCK_SIZE),
  doubleQuantization: optional(flag),
};

/** bitsandbytes' and transformers' words, and the other spelling. */
export const FOUR_BIT_SPELT: Readonly<Record<string, string>> = {
  quantType: "type",
  quant_type: "type",
  bnb_4bit_quant_type: "type",
  blocksize: "blockSize",
  block_size: "blockSize",
  doubleQuantisation: "doubleQuantization",
  double_quant: "doubleQuantization",
  bnb_4bit_use_double_quant: "doubleQuantization",
  compress_statistics: "doubleQuantization",
  compressStatistics: "doubleQuantization",
};

/** A dotted suffix of module paths, or a pattern. */
export const FILTER: Rule<string | RegExp> = anyOf(name, instance(RegExp));

/** @throws LowrankError (ShapeError) where `values` are not a matrix of that shape */
export function checkMatrix(source: string, values: Float32Array, shape: readonly [out: number, into: number]): void {
  if (
    shape.length !== 2 ||
    !shape.every((d) => Number.isSafeInteger(d) && d > 0) ||
    shape[0] * shape[1] !== values.length
  ) {
    throw new LowrankError(
      "ShapeError",
      `${source}: ${values.length} values are no matrix of shape [${shape.join(", ")}]`,
    );
  }
}
