/**
 * GoRA's start (He et al. 2025, arXiv:2502.12171, §3.3): A is drawn, and B is the gradient compressed by A's pseudo-inverse, so that what the update adds at
 * the start is a step of gradient descent, as far as A's rows reach: s·B·A = −γ·√(in / r) · G·A⁺·A. A random row space of r dimensions keeps about √(r / in) of
 * the gradient's norm; the root makes up for that, so that the step is of size γ·‖G‖ whatever the rank (the authors' code: `scaling_by_lr`).
 */
import { LowrankError, toMemory } from "@lowrank/tensor";
import type { Adapter } from "../adapter.ts";
import { qr } from "../linear-algebra.ts";

/**
 * B [out, r] with s·B·A nearest to −step·√(in / r)·G.
 * @param a [r, in], of full rank with r ≤ in
 * @param gradient [out, in]
 * @param scale s
 */
export function compressedGradient(
  a: ArrayLike<number>,
  gradient: ArrayLike<number>,
  [out, r, inner]: readonly [number, number, number],
  { scale, step }: { readonly scale: number; readonly step: number },
): Float64Array {
  // Aᵀ = Q·R, so that A⁺ = Q·R⁻ᵀ
  const transposed = Float64Array.from({ length: inner * r }, (_, at) => a[(at % r) * inner + Math.floor(at / r)]!);
  const { q, r: upper } = qr(transposed, inner, r);
  if (Array.from({ length: r }, (_, k) => upper[k * r + k]!).some((v) => !(v > 0)))
    throw new LowrankError("AdapterError", "GoRA: rows of A depend on one another, so that A has no right inverse");
  const factor = (-step * Math.sqrt(inner / r)) / scale;
  const b = new Float64Array(out * r);
  for (let o = 0; o < out; o++) {
    const row = b.subarray(o * r, (o + 1) * r);
    for (let k = 0; k < r; k++) {
      let sum = 0;
      for (let i = 0; i < inner; i++) sum += gradient[o * inner + i]! * q[i * r + k]!;
      row[k] = factor * sum;
    }
    // b·Rᵀ = row, from the last column
    for (let k = r - 1; k >= 0; k--) {
      for (let j = k + 1; j < r; j++) row[k]! -= row[j]! * upper[k * r + j]!;
      row[k]! /= upper[k * r + k]!;
    }
  }
  return b;
}

/**
 * Writes B of each update of a fresh adapter.
 * @param gradients of the loss in each module's weight, [out, in], by path
 * @returns the largest ‖(s·B·A + step·√(in / r)·G)·Aᵀ‖ of all modules, relative to that of the second term: 0 but for rounding
 * @throws LowrankError (AdapterError) for a module without a gradient, or one whose weight has another orientation
 */
export async function beginWithGradients(
  adapter: Adapter,
  gradients: ReadonlyMap<string, ArrayLike<number>>,
  step: number,
): Promise<number> {
  let apart = 0;
  for (const [path, { lowRank }] of adapter.updates) {
    const factors = lowRank?.factors;
    const gradient = gradients.get(path);
    if (factors === undefined || gradient === undefined)
      throw new LowrankError("AdapterError", `GoRA: ${path} has no ${gradient === undefined ? "gradient" : "factors"}`);
    const [r, inner] = factors.a.shape as [number, number];
    const [out] = factors.b.shape as [number, number];
    const a = await factors.a.value.floats();
    const g = adapter.layers.get(path)?.base.fanInFanOut === true ? turned(gradient, inner, out) : gradient;
    const { scale } = factors;
    const b = compressedGradient(a, g, [out, r, inner], { scale, step });
    factors.b.parameter.write(toMemory(factors.b.parameter.dtype, b, "f64"));
    apart = Math.max(apart, misfit(a, await factors.b.value.floats(), g, [out, r, inner], scale, step));
  }
  return apart;
}

/** [in, out] → [out, in]. */
function turned(values: ArrayLike<number>, inner: number, out: number): Float64Array {
  return Float64Array.from({ length: inner * out }, (_, at) => values[(at % inner) * out + Math.floor(at / inner)]!);
}

function misfit(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  gradient: ArrayLike<number>,
  [out, r, inner]: readonly [number, number, number],
  scale: number,
  step: number,
): number {
  const size = step * Math.sqrt(inner / r);
  let [wrong, all] = [0, 0];
  const row = new Float64Array(inner);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < inner; i++) {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += b[o * r + k]! * a[k * inner + i]!;
      row[i] = scale * sum + size * gradient[o * inner + i]!;
    }
    for (let k = 0; k < r; k++) {
      let [left, whole] = [0, 0];
      for (let i = 0; i < inner; i++) {
        left += row[i]! * a[k * inner + i]!;
        whole += size * gradient[o * inner + i]! * a[k * inner + i]!;
      }
      wrong += left * left;
      all += whole * whole;
    }
  }
  return all === 0 ? Math.sqrt(wrong) : Math.sqrt(wrong / all);
}
