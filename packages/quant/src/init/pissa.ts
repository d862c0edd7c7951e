/**
 * PiSSA (Meng et al. 2024): the adapter starts as the principal part of the weight and the base keeps the rest. Quantized, the rest
 * has a narrower range than the weight, so less is lost than by quantizing the weight itself.
 */
import { checkOptions, fields, positive, size, type Rule, type Rules } from "@lowrank/tensor/check";
import { checkMatrix, FOUR_BIT, FOUR_BIT_SPELT } from "../options.ts";
import { quantizeFourBit, type FourBitState } from "../state.ts";
import type { FourBitOptions } from "../options.ts";
import { checkFinite, checkRank, roundedFactors, without, type Factors } from "./factors.ts";

export interface PissaOptions {
  readonly rank: number;
  /** Factor of B·A in the layer: alpha/r. */
  readonly scale: number;
}

export interface PissaStart extends Factors {
  /** weight − scale·B·A, [out, in]. */
  readonly residual: Float32Array;
}

const RULES: Rules<PissaOptions> = { rank: size, scale: positive };
const SPELT = { r: "rank", scaling: "scale" };
const OPTIONS: Rule<PissaOptions> = fields<PissaOptions>(RULES, { spelt: SPELT });
const QUANTizED_OPTIONS: Rule<PissaOptions & FourBitOptions> = fields<PissaOptions & FourBitOptions>(
  { ...RULES, ...FOUR_BIT },
  { spelt: { ...SPELT, ...FOUR_BIT_SPELT } },
);

/**
 * @param weight [out, in]; turn GPT-2's [in, out] weights first
 * @throws LowrankError (ConfigError) naming the option that is wrong, NumericsError naming `name` and the element that is not finite
 */
export function pissa(
  weight: Float32Array,
  shape: readonly [out: number, into: number],
  options: PissaOptions,
  name = "tensor",
): PissaStart {
  const { rank, scale } = checkOptions("pissa", OPTIONS, options);
  const [out, into] = shape;
  checkMatrix(`pissa: ${name}`, weight, shape);
  checkRank("pissa", rank, shape);
  checkFinite(weight, name);
  const factors = roundedFactors(weight, out, into, rank, scale);
  return { ...factors, residual: Float32Array.from(without(weight, factors, into, scale)) };
}

/** As `pissa`, with the residual in four bits. */
export function quantizedPissa(
  weight: Float32Array,
  shape: readonly [out: number, into: number],
  options: PissaOptions & FourBitOptions,
  name = "tensor",
): Factors & { readonly base: FourBitState } {
  const { rank, scale, ...format } = checkOptions("quantizedPissa", QUANTizED_OPTIONS, options);
  const { a, b, residual } = pissa(weight, shape, { rank, scale }, name);
  return { a, b, base: quantizeFourBit(residual, shape, format, name) };
}
