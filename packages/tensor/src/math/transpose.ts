/** A matrix on the host, turned. */
import type { TypedArray } from "../dtype.ts";

/** x [rows, cols], row-major → [cols, rows], in an array of the same type. */
export function transposeOf<T extends TypedArray>(x: T, rows: number, cols: number): T {
  const out = x.slice() as T;
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c]!;
  return out;
}
