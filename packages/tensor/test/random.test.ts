/** Random numbers: published known answers, streams that do not disturb each other, the same bits on every device. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementBits } from "../src/random/threefry.ts";
import { init, ops, RandomStream, threefry2x32 } from "../src/index.ts";

describe("Threefry-2x32-20", () => {
  // Random123 1.14, tests/kat_vectors
  it.each([
    [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
  ] as [[number, number], [number, number], [number, number]][])("key %j, counter %j gives %j", (key, counter, want) => {
    expect(threefry2x32(key, counter)).toEqual(want);
  });

  it("gives every element a word of its own", () => {
    const words = new Set(Array.from({ length: 64 }, (_, i) => {
      const counter = 4 * Math.floor(i / 8) + (i % 4);
      const word = threefry2x32([3, 4], [counter, 5])[Math.floor(i / 4) % 2]!;
      expect(elementBits([3, 4], i, 5)).toBe(word);
      return word;
    }));
    expect(words.size).toBe(64);
  });

  // Rows of a multiple of eight are drawn two vectors at a call, others one by one; the views change which elements stand side by side.
  it.each([[[7, 5]], [[40]], [[13, 24]], [[3, 16, 64]], [[5, 4]], [[2, 12]]])("gives the same bits on wasm as on the host: %j", async (shape) => {
    const device = await init({ device: "wasm", threads: 1 });
    const size = shape.reduce((n, s) => n * s, 1);
    const key = { words: device.tensor([123, 456], [2], "u32"), site: 9 };
    const want = Array.from({ length: size }, (_, i) => elementBits([123, 456], i, 9));
    const bits = ops.randomBits(shape, key);
    expect([...await bits.data()]).toEqual(want);
    const last = shape.at(-1)!;
    const rows = size / last;
    expect([...await ops.transpose(ops.reshape(bits, [rows, last])).data()]).toEqual(want.map((_, i) => want[(i % rows) * last + Math.floor(i / rows)]));
    device.close();
  });
});

describe("a random stream", () => {
  it("depends on seed and label alone", () => {
    fc.assert(fc.property(fc.nat(), fc.string(), (seed, label) => {
      const [a, b] = [new RandomStream(seed, label), new RandomStream(seed, label)];
      expect(Array.from({ length: 5 }, () => a.uniform())).toEqual(Array.from({ length: 5 }, () => b.uniform()));
      expect(new RandomStream(seed, `${label}x`).uniform()).not.toBe(new RandomStream(seed, label).uniform());
      expect(new RandomStream(seed + 1, label).uniform()).not.toBe(new RandomStream(seed, label).uniform());
    }));
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
    fc.assert(fc.property(fc.nat(), fc.array(fc.integer(), { maxLength: 50 }), (seed, items) => {
      expect(new RandomStream(seed).shuffle([...items]).sort((a, b) => a - b)).toEqual([...items].sort((a, b) => a - b));
    }));
  });

  it("has the moments of its distributions", () => {
    const n = 20000;
    const stream = new RandomStream(7, "moments");
    const normal = new Float64Array(n);
    stream.fillNormal(normal, 2, 3);
    const mean = normal.reduce((a, b) => a + b, 0) / n;
    const variance = normal.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    // five standard errors: 3/√n and 9·√(2/n)
    expect(Math.abs(mean - 2)).toBeLessThan(5 * 3 / Math.sqrt(n));
    expect(Math.abs(variance - 9)).toBeLessThan(5 * 9 * Math.sqrt(2 / n));
    const counts = [0, 0, 0];
    for (let i = 0; i < n; i++) counts[stream.integer(3)]!++;
    for (const c of counts) expect(Math.abs(c - n / 3)).toBeLessThan(5 * Math.sqrt(n * (1 / 3) * (2 / 3)));
  });
});
