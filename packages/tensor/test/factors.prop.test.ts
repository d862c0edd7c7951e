/** The best product of low rank: what it leaves, and how its singular values are shared. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { addProduct, bestFactors, RandomStream, svd } from "../src/index.ts";

it("leaves exactly the other singular values, and shares its own evenly between the two factors", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      fc.double({ min: 0.1, max: 5, noNaN: true }),
      fc.integer(),
      (rows, columns, wanted, scale, seed) => {
        const rank = Math.min(wanted, rows, columns);
        const stream = new RandomStream(Math.abs(seed), "factors");
        const matrix = Float64Array.from({ length: rows * columns }, () => stream.normal());
        const values = svd(matrix, rows, columns).s;
        const factors = bestFactors(matrix, rows, columns, rank, scale);
        const rest = matrix.slice();
        addProduct(rest, factors, columns, -scale);
        // topSvd iterates to 1e-10 of the largest value
        const left = svd(rest, rows, columns).s;
        const close = (got: number, want: number): void =>
          expect(Math.abs(got - want)).toBeLessThanOrEqual(1e-8 * Math.max(1, values[0]!));
        for (let i = 0; i < left.length; i++) close(left[i]!, values[rank + i] ?? 0);
        for (let k = 0; k < rank; k++) {
          const a = Math.hypot(...factors.a.subarray(k * columns, (k + 1) * columns));
          const b = Math.hypot(...Array.from({ length: rows }, (_, row) => factors.b[row * rank + k]!));
          close(scale * a * b, values[k]!);
          close(a, b);
        }
        addProduct(rest, factors, columns, scale);
        rest.forEach((v, i) => close(v, matrix[i]!));
      },
    ),
    { numRuns: 60 },
  );
});
