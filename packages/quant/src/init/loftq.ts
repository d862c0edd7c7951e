/**
 * LoftQ (Li et al. 2023): the adapter starts as the best product of rank r for what quantization loses, so that base and adapter
 * together begin near the weight. Each further iteration quantizes the weight less the product found so far; nothing makes the error
 * fall with each of them, and on some weights it rises a little.
 */
import { checkOptions, fields, optional, positive, size, type Rule } from "@lowrank/tensor/check";
import { BLOCK_SIZE, checkMatrix, FOUR_BIT, FOUR_BIT_SPELT } from "../options.ts";
import { dequantizeFourBit, quantizeFourBit, type FourBitState } from "../state.ts";
import type { FourBitOptions } from "../options.ts";
import { roundedFactors, checkRank, without, type Factors } from "./factors.ts";

export interface LoftqOptions extends Omit<FourBitOptions, "doubleQuantization"> {
  readonly rank: number;
  /** Default 1, as in PEFT. */
  readonly iterations?: number;
  /**
   * Factor of B·A in the layer, which the product is divided by. Default 1: PEFT's factors, which do not allow for the factor, so
   * that a layer whose alpha/r is not 1 starts at base + (alpha/r)·B·A and not near the weight.
   */
  readonly scale?: number;
}

const OPTIONS: Rule<LoftqOptions> = fields<LoftqOptions>(
  {
    rank: size,
    iterations: optional(size),
    scale: optional(positive),
    type: FOUR_BIT.type,
    blockSize: optional(BLOCK_SIZE),
  },
  {
    spelt: {
      ...FOUR_BIT_SPELT,
      r: "rank",
      loftq_iter: "iterations",
      loftqIter: "iterations",
      num_iter: "iterations",
      scaling: "scale",
    },
  },
);

/**
 * @param weight [out, in]; turn GPT-2's [in, out] weights first
 * @returns A, B and the base, whose scales are plain, as in PEFT
 */
export function loftq(
  weight: Float32Array,
  shape: readonly [out: number, into: number],
  options: LoftqOptions,
  name = "tensor",
): Factors & { readonly base: FourBitState } {
  const { rank, iterations = 1, scale = 1, ...format } = checkOptions("loftq", OPTIONS, options);
  const [out, into] = shape;
  checkMatrix(`loftq: ${name}`, weight, shape);
  checkRank("loftq", rank, shape);
  let target = weight;
  for (let i = 1; ; i++) {
    const base = quantizeFourBit(target, shape, { ...format, doubleQuantization: false }, name);
    const decoded = dequantizeFourBit(base);
    const factors = roundedFactors(
      Float64Array.from(weight, (w, j) => w - decoded[j]!),
      out,
      into,
      rank,
      scale,
    );
    if (i >= iterations) return { ...factors, base };
    target = Float32Array.from(without(weight, factors, into, scale));
  }
}
