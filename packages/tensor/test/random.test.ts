/** Random numbers: published known answers, streams that do not disturb each other, the same bits on every device. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chance } from "../src/random/chance.ts";
import { elementBits, elementHalf } from "../src/random/threefry.ts";
import { init, ops, RandomStream, threefry2x32 } from "../src/index.ts";

/** Sites move the first word by multiples of 2³²/φ. */
function keyAt(first: number, second: number, site: number): [number, number] {
  return [(first + Math.imul(site, 0x9e3779b9)) >>> 0, second];
}

describe("Threefry-2x32-20", () => {
  // Random123 1.14, tests/kat_vectors
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as [[number, number], [number, number], [number, number]][])(
    "key %j, counter %j gives %j",
    (key, counter, want) => {
      expect(threefry2x32(key, counter)).toEqual(want);
    },
  );

  it("gives every element a word of its own", () => {
    const words = new Set(
      Array.from({ length: 64 }, (_, i) => {
        const counter = 4 * Math.floor(i / 8) + (i % 4);
        const word = threefry2x32([3, 4], [counter, 5])[Math.floor(i / 4) % 2]!;
        expect(elementBits([3, 4], i, 5)).toBe(word);
        return word;
      }),
    );
    expect(words.size).toBe(64);
  });

  it("gives every element half a word of its own", () => {
    const halves = Array.from({ length: 64 }, (_, i) => {
      const word = threefry2x32([3, 4], [4 * Math.floor(i / 16) + (i % 4), 5])[Math.floor(i / 4) % 2]!;
      const half = Math.floor(i / 8) % 2;
      expect(elementHalf([3, 4], i, 5)).toBe(Math.floor(word / 65536 ** half) % 65536);
      return `${word} ${half}`;
    });
    expect(new Set(halves).size).toBe(64);
  });

  // Rows that divide by eight or sixteen are drawn several vectors at a call, others one by one; the views change which elements stand side by side.
  const shapes = [[7, 5], [40], [13, 24], [3, 16, 64], [5, 4], [2, 12], [3, 48], [1029], [2, 5000]];
  it.each(shapes.flatMap((shape) => ([32, 16] as const).map((bits) => [bits, shape] as const)))(
    "gives the same %i bits on every device as on the host: %j",
    async (bits, shape) => {
      const size = shape.reduce((n, s) => n * s, 1);
      const perRow = shape.length > 1 ? size / shape[0]! : size;
      const want = Array.from({ length: size }, (_, i) =>
        (bits === 16 ? elementHalf : elementBits)(keyAt(123, 456, 9), i % perRow, 70 + Math.floor(i / perRow)),
      );
      const last = shape.at(-1)!;
      const rows = size / last;
      for (const [name, threads] of [
        ["wasm", 1],
        ["wasm", 2],
        ["interpreter", 1],
        ["reference", 1],
      ] as const) {
        const device = await init({ device: name, threads });
        const key = { words: device.tensor([123, 456, 70], [3], "u32"), site: 9 };
        const drawn = ops.randomBits(shape, key, bits);
        expect([...(await drawn.data())]).toEqual(want);
        expect([...(await ops.transpose(ops.reshape(drawn, [rows, last])).data())]).toEqual(
          want.map((_, i) => want[(i % rows) * last + Math.floor(i / rows)]),
        );
        device.close();
      }
    },
  );
});

describe("chance", () => {
  it("takes 16 bits where they change neither p nor 1 − p by more than a thousandth, else 32", () => {
    expect(chance(0.1)).toEqual({ bits: 16, below: 6554, probability: 6554 / 65536 });
    expect(chance(0.5)).toEqual({ bits: 16, below: 32768, probability: 0.5 });
    expect(chance(0.001).bits).toBe(32);
    expect(chance(0.999).bits).toBe(32);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (p) => {
        const { bits, below, probability } = chance(p);
        expect(Math.abs(Math.round(p * 65536) / 65536 - p) <= Math.min(p, 1 - p) / 1000).toBe(bits === 16);
        expect(below).toBeLessThan(2 ** bits);
        expect(probability).toBe(below / 2 ** bits);
        expect(Math.abs(probability - p)).toBeLessThanOrEqual(bits === 16 ? Math.min(p, 1 - p) / 1000 : 2 ** -32);
      }),
    );
  });
});

describe("dropout", () => {
  const n = 1 << 18;
  const half = 1 - chance(0.1).probability;
  const kept = (site: number): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => (elementHalf(keyAt(2026, 17, site), i, 0) >= chance(0.1).below ? 1 : 0));
  /** Of two sequences of independent draws it is 0 with standard deviation 1/√count. */
  const correlation = (a: Float64Array, b: Float64Array): number =>
    a.reduce((sum, x, i) => sum + (x - half) * (b[i]! - half), 0) / a.length / (half * (1 - half));

  it("keeps the share it says", () => {
    // five standard deviations of a binomial
    expect(Math.abs(kept(0).reduce((a, b) => a + b) - n * half)).toBeLessThan(5 * Math.sqrt(n * half * (1 - half)));
  });

  // 4: the other word of a counter; 8: the other half of a word; 12: both; 16: the next counter
  it.each([1, 2, 4, 8, 12, 16])("keeps elements i and i + %i independently", (apart) => {
    const all = kept(0);
    expect(Math.abs(correlation(all.subarray(0, n - apart), all.subarray(apart)))).toBeLessThan(
      5 / Math.sqrt(n - apart),
    );
    // the same over pairs that share a counter only, where that is what `apart` leads to
    const within = all.map((_, i) => ((i % 16) + apart < 16 ? i : -1)).filter((i) => i >= 0);
    if (within.length > 0)
      expect(
        Math.abs(
          correlation(
            within.map((i) => all[i]!),
            within.map((i) => all[i + apart]!),
          ),
        ),
      ).toBeLessThan(5 / Math.sqrt(within.length));
  });

  it("keeps independently at different sites", () => {
    expect(Math.abs(correlation(kept(0), kept(1)))).toBeLessThan(5 / Math.sqrt(n));
  });

  it.each([0.1, 0.001, 0.3, 0.25])("zeroes with the probability whose inverse scales the rest: p = %d", async (p) => {
    const { bits, below, probability } = chance(p);
    const want = Array.from({ length: 5000 }, (_, i) =>
      (bits === 16 ? elementHalf : elementBits)(keyAt(1, 2, 3), i, 0) < below ? 0 : Math.fround(1 / (1 - probability)),
    );
    for (const name of ["wasm", "interpreter", "reference"] as const) {
      const device = await init({ device: name, threads: 1 });
      const y = ops.dropout(device.full([5000], 1), p, { words: device.tensor([1, 2], [2], "u32"), site: 3 });
      expect([...(await y.floats())].map(Math.fround)).toEqual(want);
      device.close();
    }
  });
});

describe("a random stream", () => {
  it("depends on seed and label alone", () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), (seed, label) => {
        const [a, b] = [new RandomStream(seed, label), new RandomStream(seed, label)];
        expect(Array.from({ length: 5 }, () => a.uniform())).toEqual(Array.from({ length: 5 }, () => b.uniform()));
        expect(new RandomStream(seed, `${label}x`).uniform()).not.toBe(new RandomStream(seed, label).uniform());
        expect(new RandomStream(seed + 1, label).uniform()).not.toBe(new RandomStream(seed, label).uniform());
      }),
    );
  });

  it("goes on from a saved state", () => {
    const stream = new RandomStream(1, "s");
    stream.normal();
    const { state } = stream;
    const next = [stream.uniform(), stream.normal()];
    stream.state = state;
    expect([stream.uniform(), stream.normal()]).toEqual(next);
  });

  it("shuffles to a permutation", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.integer(), { maxLength: 50 }), (seed, items) => {
        expect(new RandomStream(seed).shuffle([...items]).sort((a, b) => a - b)).toEqual(
          [...items].sort((a, b) => a - b),
        );
      }),
    );
  });

  it("has the moments of its distributions", () => {
    const n = 20000;
    const stream = new RandomStream(7, "moments");
    const normal = new Float64Array(n);
    stream.fillNormal(normal, 2, 3);
    const mean = normal.reduce((a, b) => a + b, 0) / n;
    const variance = normal.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    // five standard errors: 3/√n and 9·√(2/n)
    expect(Math.abs(mean - 2)).toBeLessThan((5 * 3) / Math.sqrt(n));
    expect(Math.abs(variance - 9)).toBeLessThan(5 * 9 * Math.sqrt(2 / n));
    const counts = [0, 0, 0];
    for (let i = 0; i < n; i++) counts[stream.integer(3)]!++;
    for (const c of counts) expect(Math.abs(c - n / 3)).toBeLessThan(5 * Math.sqrt(n * (1 / 3) * (2 / 3)));
  });
});
