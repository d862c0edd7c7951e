/** The best product B·A of rank r for a matrix, its singular values shared evenly. */
import { LowrankError, NumericsError, topSvd } from "@lowrank/tensor";

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

/** A = √S_r·V_rᵀ, B = U_r·√S_r of `matrix` [out, in]; the matrix is divided by `scale` first. */
export function bestFactors(matrix: ArrayLike<number>, out: number, into: number, rank: number, scale = 1): Factors {
  const { u, s, v } = topSvd(matrix, out, into, rank);
  const roots = s.map((x) => Math.sqrt(x / scale));
  return {
    a: Float32Array.from(
      { length: rank * into },
      (_, i) => roots[Math.floor(i / into)]! * v[(i % into) * rank + Math.floor(i / into)]!,
    ),
    b: Float32Array.from({ length: out * rank }, (_, i) => u[i]! * roots[i % rank]!),
  };
}

/** matrix − scale·B·A, in f64 from the rounded factors. */
export function without(
  matrix: ArrayLike<number>,
  { a, b }: Factors,
  out: number,
  into: number,
  scale = 1,
): Float64Array {
  const rank = a.length / into;
  const rest = Float64Array.from(matrix);
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < rank; k++) {
      const factor = scale * b[o * rank + k]!;
      for (let i = o * into, j = k * into, end = i + into; i < end; i++, j++) rest[i]! -= factor * a[j]!;
    }
  }
  return rest;
}
