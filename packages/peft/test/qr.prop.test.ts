/** The QR decomposition of initializers. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { qr } from "../src/index.ts";
import { random } from "./helpers.ts";

it("A = Q·R, Q orthonormal, R upper triangular with a diagonal that is not negative", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 0, max: 5 }),
      fc.nat({ max: 999 }),
      (cols, more, seed) => {
        const rows = cols + more;
        const a = random(rows * cols, seed);
        const { q, r } = qr(a, rows, cols);
        const sum = (n: number, term: (i: number) => number): number =>
          Array.from({ length: n }, (_, i) => term(i)).reduce((x, y) => x + y, 0);
        for (let i = 0; i < cols; i++)
          for (let j = 0; j < cols; j++) {
            // twice orthogonalized: a few units of f64 whatever the condition (Giraud et al. 2005)
            expect(Math.abs(sum(rows, (o) => q[o * cols + i]! * q[o * cols + j]!) - (i === j ? 1 : 0))).toBeLessThan(
              1e-13,
            );
            if (j < i) expect(r[i * cols + j]).toBe(0);
          }
        for (let i = 0; i < cols; i++) expect(r[i * cols + i]).toBeGreaterThanOrEqual(0);
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < cols; j++)
            expect(Math.abs(sum(cols, (k) => q[i * cols + k]! * r[k * cols + j]!) - a[i * cols + j]!)).toBeLessThan(
              1e-13,
            );
      },
    ),
  );
});
