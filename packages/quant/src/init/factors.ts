/** What starts in four bits have in common. */
import { addProduct, bestFactors, LowrankError, NumericsError } from "@lowrank/tensor";

/** An adapter's start: the layer computes x·(base + s·B·A)ᵀ. */
export interface Factors {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
}

export function checkRank(source: string, rank: number, [out, into]: readonly [number, number]): void {
  if (rank > Math.min(out, into))
    throw new LowrankError(
      "ConfigError",
      `${source}: "rank" is ${rank}, and a matrix of [${out}, ${into}] has at most ${Math.min(out, into)}`,
    );
}

export function checkFinite(weight: Float32Array, name: string): void {
  const bad = weight.findIndex((w) => !Number.isFinite(w));
  if (bad >= 0) throw new NumericsError(`${name}: element ${bad} is ${weight[bad]}; only finite weights have factors`);
}

/** The best product of rank r for `matrix` [out, in] divided by `scale`, rounded to what an adapter holds. */
export function roundedFactors(matrix: ArrayLike<number>, out: number, into: number, rank: number, scale = 1): Factors {
  const { a, b } = bestFactors(matrix, out, into, rank, scale);
  return { a: Float32Array.from(a), b: Float32Array.from(b) };
}

/** matrix − scale·B·A, in f64 from the rounded factors. */
export function without(matrix: ArrayLike<number>, factors: Factors, into: number, scale = 1): Float64Array {
  const rest = Float64Array.from(matrix);
  addProduct(rest, factors, into, -scale);
  return rest;
}
