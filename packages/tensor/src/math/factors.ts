/** A matrix as a product of low rank and what is left of it, on the host in f64. Matrices are row-major. */
import { topSvd } from "./svd.ts";

/** B·A with A [r, columns], B [rows, r]. */
export interface MatrixFactors {
  readonly a: ArrayLike<number>;
  readonly b: ArrayLike<number>;
}

/**
 * The best product scale·B·A of rank r for a matrix [rows, columns], its singular values shared evenly: A = √(S_r/scale)·V_rᵀ,
 * B = U_r·√(S_r/scale), as PiSSA and LoftQ start.
 * @param scale above 0
 */
export function bestFactors(
  matrix: ArrayLike<number>,
  rows: number,
  columns: number,
  rank: number,
  scale = 1,
): { a: Float64Array; b: Float64Array } {
  const { u, s, v } = topSvd(matrix, rows, columns, rank);
  const roots = s.map((value) => Math.sqrt(value / scale));
  const a = new Float64Array(rank * columns);
  for (let k = 0; k < rank; k++)
    for (let column = 0; column < columns; column++) a[k * columns + column] = roots[k]! * v[column * rank + k]!;
  return { a, b: Float64Array.from({ length: rows * rank }, (_, i) => u[i]! * roots[i % rank]!) };
}

/** matrix [rows, columns] += factor·B·A, in place. */
export function addProduct(matrix: Float64Array, { a, b }: MatrixFactors, columns: number, factor: number): void {
  const rank = a.length / columns;
  for (let row = 0; row * columns < matrix.length; row++)
    for (let k = 0; k < rank; k++) {
      const times = factor * b[row * rank + k]!;
      for (let i = row * columns, j = k * columns, end = i + columns; i < end; i++, j++) matrix[i]! += times * a[j]!;
    }
}
