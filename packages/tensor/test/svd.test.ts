/** Singular values on the host. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream, svd, topSvd, type Svd } from "../src/index.ts";

function random(n: number, seed: number): Float64Array {
  const out = new Float64Array(n);
  new RandomStream(seed, "test").fillNormal(out, 0, 1);
  return out;
}

const product = ({ u, s, v }: Svd, m: number, n: number): number[] =>
  Array.from({ length: m * n }, (_, i) => {
    const k = s.length;
    let sum = 0;
    for (let d = 0; d < k; d++) sum += u[Math.floor(i / n) * k + d]! * s[d]! * v[(i % n) * k + d]!;
    return sum;
  });

/** Largest entry of XᵀX − 1. */
function skew(x: Float64Array, rows: number, k: number): number {
  let worst = 0;
  for (let p = 0; p < k; p++)
    for (let q = 0; q < k; q++) {
      let sum = p === q ? -1 : 0;
      for (let i = 0; i < rows; i++) sum += x[i * k + p]! * x[i * k + q]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  return worst;
}

describe("svd", () => {
  it("takes any matrix apart: the parts multiply back, are orthogonal, and descend", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), fc.nat(999), (m, n, seed) => {
        const a = random(m * n, seed);
        const parts = svd(a, m, n);
        const k = Math.min(m, n);
        // a few roundings of f64 per sweep and dimension
        const tolerance = 1e-13 * (m + n) * parts.s[0]!;
        product(parts, m, n).forEach((x, i) => expect(Math.abs(x - a[i]!)).toBeLessThanOrEqual(tolerance));
        expect(Math.max(skew(parts.u, m, k), skew(parts.v, n, k))).toBeLessThan(1e-12);
        for (let i = 1; i < k; i++) expect(parts.s[i]!).toBeLessThanOrEqual(parts.s[i - 1]!);
      }),
    );
  });

  it("finds the values it was built from, small ones too", () => {
    const values = [1e3, 1, 1e-6];
    const [q, r] = [svd(random(15, 1), 5, 3).u, svd(random(12, 2), 4, 3).u];
    const a = product({ u: q, s: Float64Array.from(values), v: r }, 5, 4);
    svd(a, 5, 4).s.forEach((s, i) => expect(Math.abs(s - (values[i] ?? 0))).toBeLessThan(1e-12));
  });

  it("gives zeros for zeros and refuses sizes that do not fit", () => {
    expect([...svd(new Float64Array(6), 2, 3).s]).toEqual([0, 0]);
    expect(() => svd([1, 2, 3], 2, 2)).toThrow("[2, 2] needs 4 elements, got 3");
    expect(() => topSvd([1, 2, 3, 4], 2, 2, 3)).toThrow("has 2 singular values, 3 were asked for");
  });
});

describe("topSvd", () => {
  it.each([
    [90, 130, 5],
    [130, 90, 5],
    [200, 70, 3],
  ] as const)("%i×%i, %i values: those of the whole decomposition", (m, n, rank) => {
    const a = random(m * n, m);
    const [all, top] = [svd(a, m, n), topSvd(a, m, n, rank)];
    top.s.forEach((s, i) => expect(Math.abs(s - all.s[i]!)).toBeLessThan(1e-9 * all.s[0]!));
    expect(Math.max(skew(top.u, m, rank), skew(top.v, n, rank))).toBeLessThan(1e-9);
    // residual A·v − s·u of each triplet is at most the tolerance asked for
    for (let d = 0; d < rank; d++)
      for (let i = 0; i < m; i++) {
        let sum = -top.s[d]! * top.u[i * rank + d]!;
        for (let j = 0; j < n; j++) sum += a[i * n + j]! * top.v[j * rank + d]!;
        expect(Math.abs(sum)).toBeLessThan(1e-8 * all.s[0]!);
      }
  });

  it("goes on where a matrix of low rank leaves nothing to follow", () => {
    const [m, n] = [100, 80];
    const [x, y] = [random(2 * m, 1), random(2 * n, 2)];
    const a = Float64Array.from(
      { length: m * n },
      (_, i) => x[Math.floor(i / n)]! * y[i % n]! + x[m + Math.floor(i / n)]! * y[n + (i % n)]!,
    );
    const { s } = topSvd(a, m, n, 4);
    expect(s[1]).toBeGreaterThan(1);
    expect(s[2]! + s[3]!).toBeLessThan(1e-9 * s[0]!);
    expect([...topSvd(new Float64Array(m * n), m, n, 2).s]).toEqual([0, 0]);
  });
});
