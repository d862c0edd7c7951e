/** Starts of adapters over quantized bases. */
import { topSvd } from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dequantizeFourBit, loftq, pissa, quantizeFourBit, quantizedPissa, type Factors } from "../src/index.ts";

const shape = fc.tuple(fc.integer({ min: 6, max: 40 }), fc.integer({ min: 6, max: 40 }));
const matrix = (out: number, into: number, seed: number): Float32Array =>
  Float32Array.from({ length: out * into }, (_, i) => Math.sin((i + 1) * (seed + 1.37) * 12.9898) * 0.1);
const norm = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((s, v) => s + v * v, 0));

/** base + scale·B·A − weight */
function error(
  weight: Float32Array,
  base: Float32Array,
  { a, b }: Factors,
  [, into]: readonly [number, number],
  scale: number,
): Float64Array {
  const rank = a.length / into;
  return Float64Array.from(weight, (w, i) => {
    const [o, c] = [Math.floor(i / into), i % into];
    let sum = base[i]! - w;
    for (let k = 0; k < rank; k++) sum += scale * b[o * rank + k]! * a[k * into + c]!;
    return sum;
  });
}

describe("PiSSA", () => {
  it("starts where the weight is, and leaves the smaller singular values to the base", () => {
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(0.5, 1, 2, 4),
        fc.nat(99),
        ([out, into], rank, scale, seed) => {
          const weight = matrix(out, into, seed);
          const start = pissa(weight, [out, into], { rank, scale });
          // the residual is rounded once to f32; |W| ≤ 0.1 and the parts are no larger than its norm
          error(weight, start.residual, start, [out, into], scale).forEach((e) =>
            expect(Math.abs(e)).toBeLessThanOrEqual(2 ** -24 * norm(weight)),
          );
          const all = topSvd(weight, out, into, Math.min(out, into)).s;
          if (rank < all.length) expect(topSvd(start.residual, out, into, 1).s[0]).toBeCloseTo(all[rank]!, 5);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("over a quantized residual is nearer to the weight than the quantized weight, where the weight has a strong principal part", () => {
    const [out, into, rank] = [96, 128, 8];
    const noise = matrix(out, into, 3);
    const weight = Float32Array.from(noise, (v, i) => v * 0.2 + Math.sin(Math.floor(i / into)) * Math.cos(i % into));
    const { base, ...factors } = quantizedPissa(weight, [out, into], { rank, scale: 2 });
    const plain = dequantizeFourBit(quantizeFourBit(weight, [out, into]));
    expect(norm(error(weight, dequantizeFourBit(base), factors, [out, into], 2))).toBeLessThan(
      0.5 * norm(plain.map((v, i) => v - weight[i]!)),
    );
  });
});

describe("LoftQ", () => {
  it("is nearer to the weight than quantization alone, by exactly the singular values its product takes", () => {
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(0.5, 1, 2),
        fc.nat(99),
        ([out, into], rank, scale, seed) => {
          const weight = matrix(out, into, seed);
          const { base, ...factors } = loftq(weight, [out, into], { rank, scale });
          const decoded = dequantizeFourBit(base);
          const lost = Float64Array.from(weight, (w, i) => w - decoded[i]!);
          // Eckart–Young: what is left is the tail of the singular values
          const tail = norm(topSvd(lost, out, into, Math.min(out, into)).s.slice(rank));
          expect(norm(error(weight, decoded, factors, [out, into], scale))).toBeCloseTo(tail, 6);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("without a scale gives PEFT's factors: one iteration is the SVD of what plain NF4 loses", () => {
    const weight = matrix(24, 40, 7);
    const { a, b, base } = loftq(weight, [24, 40], { rank: 3 });
    expect(base).toEqual(quantizeFourBit(weight, [24, 40], { doubleQuantization: false }));
    // singular values are shared evenly: rows of A and columns of B have the same length
    for (let k = 0; k < 3; k++)
      expect(norm(a.subarray(k * 40, (k + 1) * 40))).toBeCloseTo(
        norm(Array.from({ length: 24 }, (_, o) => b[o * 3 + k]!)),
        5,
      );
    const scaled = loftq(weight, [24, 40], { rank: 3, scale: 4 });
    scaled.a.forEach((v, i) => expect(2 * v).toBeCloseTo(a[i]!, 6));
  });

  it("each further iteration quantizes the weight less the product of the one before", () => {
    fc.assert(
      fc.property(
        shape,
        fc.constantFrom(0.5, 1, 2),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(99),
        ([out, into], scale, iterations, seed) => {
          const weight = matrix(out, into, seed);
          const before = loftq(weight, [out, into], { rank: 2, scale, iterations });
          // 0 + s·B·A − weight, with the sign turned
          const target = Float32Array.from(
            error(weight, new Float32Array(weight.length), before, [out, into], scale),
            (v) => -v,
          );
          const wanted = dequantizeFourBit(quantizeFourBit(target, [out, into], { doubleQuantization: false }));
          const decoded = dequantizeFourBit(
            loftq(weight, [out, into], { rank: 2, scale, iterations: iterations + 1 }).base,
          );
          // both targets are the same f64 numbers but for the order of their sums: one rounding of f32 apart, save where that crosses a threshold
          const differing = decoded.filter((v, i) => Math.abs(v - wanted[i]!) > 1e-6).length;
          expect(differing).toBeLessThanOrEqual(Math.ceil(0.005 * decoded.length));
        },
      ),
      { numRuns: 20 },
    );
  });
});
