/**
 * PiSSA (Meng et al. 2024): the adapter starts as the principal part of the weight and the base keeps the rest. Quantised, the rest
 * has a narrower range than the weight, so less is lost than by quantising the weight itself.
 */
import { quantiseFourBit, type FourBitOptions, type FourBitState } from "../state.ts";
import { bestFactors, without, type Factors } from "./factors.ts";

export interface PissaOptions {
  readonly rank: number;
  /** Factor of B·A in the layer: alpha/r. */
  readonly scale: number;
}

export interface PissaStart extends Factors {
  /** weight − scale·B·A, [out, in]. */
  readonly residual: Float32Array;
}

/** @param weight [out, in]; turn GPT-2's [in, out] weights first */
export function pissa(weight: Float32Array, shape: readonly [out: number, into: number], { rank, scale }: PissaOptions): PissaStart {
  const [out, into] = shape;
  const factors = bestFactors(weight, out, into, rank, scale);
  return { ...factors, residual: Float32Array.from(without(weight, factors, out, into, scale)) };
}

/** As `pissa`, with the residual in four bits. */
export function quantisedPissa(weight: Float32Array, shape: readonly [out: number, into: number], options: PissaOptions & FourBitOptions, name = "tensor"): Factors & { readonly base: FourBitState } {
  const { a, b, residual } = pissa(weight, shape, options);
  return { a, b, base: quantiseFourBit(residual, shape, options, name) };
}
