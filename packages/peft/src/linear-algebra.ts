/** A thin QR decomposition on the host, in f64, for initializers. Matrices are row-major. */
import { transposeOf } from "@lowrank/tensor";

/** Thin QR of a [m, n] with m ≥ n by modified Gram–Schmidt, twice, so that Q is orthogonal to rounding. R has a non-negative diagonal. */
export function qr(a: ArrayLike<number>, m: number, n: number): { q: Float64Array; r: Float64Array } {
  const q = transposeOf(Float64Array.from(a), m, n);
  const r = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    const column = q.subarray(j * m, (j + 1) * m);
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < j; k++) {
        const other = q.subarray(k * m, (k + 1) * m);
        let dot = 0;
        for (let i = 0; i < m; i++) dot += column[i]! * other[i]!;
        r[k * n + j]! += dot;
        for (let i = 0; i < m; i++) column[i]! -= dot * other[i]!;
      }
    }
    const norm = Math.sqrt(column.reduce((sum, x) => sum + x * x, 0));
    r[j * n + j] = norm;
    if (norm > 0) for (let i = 0; i < m; i++) column[i]! /= norm;
  }
  return { q: transposeOf(q, n, m), r };
}
