/** Properties of the four-bit codes on the host. Bounds: half the widest gap between neighbouring codes, in units of the block's largest. */
import { f16ToF32, f32ToF16, NumericsError } from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  codeBooks,
  dequantizeBlocks,
  dequantizeRows,
  llmInt8,
  nestScales,
  quantizeBlocks,
  quantizeRows,
  unnestScales,
  type FourBitType,
} from "../src/index.ts";

const types: readonly FourBitType[] = ["nf4", "fp4"];
const BOUND: Record<FourBitType, number> = { nf4: 0.1519037, fp4: 0.1666667 };
const U = 2 ** -24;
/** Even over the range: a plain double would nearly always be tiny, and use three of the sixteen codes. */
const value = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: -4096, max: 4096 }).map((k) => k / 4096) },
  { weight: 1, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }).map(Math.fround) },
);
const data = fc
  .tuple(fc.array(value, { minLength: 1, maxLength: 300 }), fc.integer({ min: -20, max: 10 }))
  .map(([x, power]) => Float32Array.from(x, (v) => (Math.abs(v) < 1e-30 ? 0 : v * 2 ** power)));
const blockSize = fc.constantFrom(32, 64, 128);
const codeAt = (codes: Uint8Array, i: number): number => (i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15);

describe.each(types)("%s", (type) => {
  it("Q1: decodes within half the widest gap", () => {
    fc.assert(
      fc.property(data, blockSize, (x, size) => {
        const blocks = quantizeBlocks(x, type, size);
        dequantizeBlocks(blocks, type, x.length, size).forEach((y, i) =>
          expect(Math.abs(y - x[i]!)).toBeLessThanOrEqual(
            BOUND[type] * blocks.absmax[Math.floor(i / size)]! * (1 + 4 * U),
          ),
        );
      }),
    );
  });

  it("Q2: so it does with quantized scales, plus the scale's own error", () => {
    fc.assert(
      fc.property(data, (x) => {
        const blocks = quantizeBlocks(x, type, 64);
        const nested = nestScales(blocks.absmax);
        const y = dequantizeBlocks({ ...blocks, absmax: unnestScales(nested) }, type, x.length, 64);
        y.forEach((v, i) => {
          const block = Math.floor(i / 64);
          expect(Math.abs(v - x[i]!)).toBeLessThanOrEqual(
            (BOUND[type] * blocks.absmax[block]! + (0.0070313 + 2 ** -16) * nested.absmax[Math.floor(block / 256)]!) *
              (1 + 8 * U) +
              4 * U * nested.offset,
          );
        });
      }),
    );
  });

  it("Q3: quantizing what was decoded gives the same codes and scales", () => {
    fc.assert(
      fc.property(data, blockSize, (x, size) => {
        const once = quantizeBlocks(x, type, size);
        const again = quantizeBlocks(dequantizeBlocks(once, type, x.length, size), type, size);
        expect(again.absmax).toEqual(once.absmax);
        const decoded = (codes: Uint8Array): number[] => Array.from(x, (_, i) => codeBooks[type][codeAt(codes, i)]!);
        expect(decoded(again.codes)).toEqual(decoded(once.codes));
      }),
    );
  });

  it("Q4: a power of two changes the scales and nothing else", () => {
    fc.assert(
      fc.property(data, fc.integer({ min: -8, max: 8 }), (x, k) => {
        const once = quantizeBlocks(x, type, 64);
        const scaled = quantizeBlocks(
          x.map((v) => v * 2 ** k),
          type,
          64,
        );
        expect(scaled.codes).toEqual(once.codes);
        expect(scaled.absmax).toEqual(once.absmax.map((a) => a * 2 ** k));
      }),
    );
  });

  it("Q5: order within a block is kept", () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 2, maxLength: 64 }), (x) => {
        const sorted = Float32Array.from(x).sort();
        const y = dequantizeBlocks(quantizeBlocks(sorted, type, 64), type, sorted.length, 64);
        for (let i = 1; i < y.length; i++) expect(y[i]!).toBeGreaterThanOrEqual(y[i - 1]!);
      }),
    );
  });

  it("Q6: codes come back from bytes, odd lengths too", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 15 }), { minLength: 1, maxLength: 65 }), (codes) => {
        // the largest code first makes the scale 1, so every table entry is its own nearest
        const x = Float32Array.from([1, ...codes.map((c) => codeBooks[type][c]!)]);
        const packed = quantizeBlocks(x, type, 128);
        expect(packed.codes.length).toBe(Math.ceil(x.length / 2));
        expect(Array.from(x, (_, i) => codeBooks[type][codeAt(packed.codes, i)]!)).toEqual([...x]);
      }),
    );
  });

  it("Q7: the code is the nearest one, ties going down, for 100,000 values", () => {
    const x = Float32Array.from({ length: 100_000 }, (_, i) =>
      i === 0 ? 1 : Math.fround(((i * 7919) % 200_003) / 100_001.5 - 1),
    );
    const book = codeBooks[type];
    const order = [...book].sort((a, b) => a - b);
    for (let from = 0; from < x.length; from += 63) {
      const block = Float32Array.of(1, ...x.subarray(from, from + 63));
      const { codes } = quantizeBlocks(block, type, 64);
      block.forEach((v, i) => {
        const best = order.reduce((a, b) => (Math.abs(v - b) < Math.abs(v - a) ? b : a));
        expect(Math.abs(book[codeAt(codes, i)]! - best)).toBeLessThanOrEqual(
          Math.abs(Math.abs(v - book[codeAt(codes, i)]!) - Math.abs(v - best)) < 2 * U ? 1 : 0,
        );
      });
    }
  });

  it("Q8: zeros stay zeros, and what is not finite is refused by name and place", () => {
    expect([...dequantizeBlocks(quantizeBlocks(new Float32Array(70), type), type, 70)].every((v) => v === 0)).toBe(
      true,
    );
    for (const bad of [NaN, Infinity, -Infinity])
      expect(() => quantizeBlocks(Float32Array.of(1, 2, bad), type, 64, "h.0.weight")).toThrow(
        new NumericsError(`h.0.weight: element 2 is ${bad}; only finite weights can be quantized`),
      );
    expect(() => quantizeBlocks(new Float32Array(4), type, 48)).toThrow("block size 48 is not one of 32, 64");
  });

  it("Q13: the mean error on normal numbers is the published one, within 7σ", () => {
    let seed = 1;
    const uniform = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 2 ** 32;
    };
    const x = Float32Array.from(
      { length: 1 << 20 },
      () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
    );
    const y = dequantizeBlocks(quantizeBlocks(x, type), type, x.length);
    const mean = x.reduce((s, v, i) => s + Math.abs(v - y[i]!), 0) / x.length;
    // σ of the mean of 2²⁰ errors whose own deviation is below 0.1; a linear congruence is a little worse than independent
    expect(Math.abs(mean - (type === "nf4" ? 0.072798 : 0.096543))).toBeLessThan(7 * (0.1 / 1024) + 2e-4);
  });
});

it("a whole block is multiplied by the rounded reciprocal and a partial one divided, which differ on some ties", () => {
  const [largest, tie] = [1.0002000331878662, 0.03979811072349548];
  const partial = quantizeBlocks(Float32Array.of(largest, tie), "nf4", 32);
  const whole = quantizeBlocks(
    Float32Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? largest : tie)),
    "nf4",
    32,
  );
  expect([partial.codes[0], whole.codes[0]]).toEqual([0xf7, 0xf8]);
});

it("Q12: FP4 treats both signs alike", () => {
  fc.assert(
    fc.property(data, (x) => {
      const decode = (v: Float32Array): number[] =>
        [...dequantizeBlocks(quantizeBlocks(v, "fp4"), "fp4", v.length)].map(Math.abs);
      const [plus, minus] = [decode(x), decode(x.map((v) => -v))];
      // a tie goes down, so it may go to either side of zero: one gap apart, and only there
      plus.forEach((v, i) => {
        if (v !== minus[i])
          expect(Math.abs(Math.abs(x[i]!) - (v + minus[i]!) / 2)).toBeLessThanOrEqual(4 * U * Math.abs(x[i]!));
      });
    }),
  );
});

describe("int8", () => {
  it("decodes rows within half a step", () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 12, maxLength: 12 }), (x) => {
        const q = quantizeRows(Float32Array.from(x), 3, 4);
        dequantizeRows(q, 4).forEach((y, i) =>
          expect(Math.abs(y - x[i]!)).toBeLessThanOrEqual(
            (0.5 / 127) * q.absmax[Math.floor(i / 4)]! * (1 + 8 * U) + 2 * U,
          ),
        );
      }),
    );
  });

  it("columns with an outlier multiply at full precision", () => {
    const [m, n, k] = [3, 4, 8];
    const a = Float32Array.from({ length: m * k }, (_, i) => (i % k === 5 ? 20 * Math.cos(i) : Math.sin(i)));
    const b = Float32Array.from({ length: n * k }, (_, i) => Math.cos(2 * i));
    const exact = Array.from({ length: m * n }, (_, i) =>
      Array.from({ length: k }, (_, c) => a[Math.floor(i / n) * k + c]! * b[(i % n) * k + c]!).reduce(
        (s, v) => s + v,
        0,
      ),
    );
    const worst = (y: Float32Array): number => Math.max(...exact.map((e, i) => Math.abs(e - y[i]!)));
    const [kept, all] = [llmInt8(a, b, m, n, k), llmInt8(a, b, m, n, k, 0)];
    expect(kept.outliers).toEqual([5]);
    // per term: half a step on either side, |a| ≤ 1 and |b| ≤ 1, seven ordinary columns
    expect(worst(kept.product)).toBeLessThan(7 * (1 / 127 + 0.25 / 127 ** 2));
    expect(worst(all.product)).toBeGreaterThan(worst(kept.product));
  });
});

it("H4: −65504 − 16 overflows half precision", () => {
  const h = (x: number): number => f16ToF32(f32ToF16(Float32Array.of(x)))[0]!;
  expect(h(h(-65504) + h(-16))).toBe(-Infinity);
  expect([h(65519.996), h(65520), h(2 ** -25), h(2 ** -25 * (1 + 2 ** -23))]).toEqual([65504, Infinity, 0, 2 ** -24]);
});
