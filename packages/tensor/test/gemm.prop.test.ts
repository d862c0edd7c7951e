/** Products on wasm over shapes, layouts and batches, against f64. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile, init, ops, RandomStream, type Device, type Tensor } from "../src/index.ts";

let one: Device;
let two: Device;
let unfused: Device;
beforeAll(async () => {
  one = await init({ device: "wasm", threads: 1 });
  two = await init({ device: "wasm", threads: 2 });
  unfused = await init({ device: "wasm", threads: 1, fusion: false });
});
afterAll(() => {
  one.close();
  two.close();
  unfused.close();
});

const dim = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(1, 3, 4, 8, 12, 64, 300));
const shapes = fc.record({
  m: dim,
  k: dim,
  n: dim,
  batch: fc.constantFrom(1, 1, 2, 9),
  sharedB: fc.boolean(),
  turnA: fc.boolean(),
  turnB: fc.boolean(),
  epilogue: fc.boolean(),
  seed: fc.nat({ max: 999 }),
});

it("agree with f64 within the bound of a sum of k products", async () => {
  await fc.assert(
    fc.asyncProperty(shapes, async ({ m, k, n, batch, sharedB, turnA, turnB, epilogue, seed }) => {
      const stream = new RandomStream(seed, "gemm");
      const fill = (count: number): Float32Array => Float32Array.from({ length: count }, () => stream.normal());
      const lead = batch === 1 ? [] : [batch];
      const leadB = sharedB ? [] : lead;
      const [a, b, bias] = [fill(batch * m * k), fill((leadB[0] ?? 1) * k * n), fill(n)];
      const build = (device: Device): Tensor => {
        const left = device.tensor(a, turnA ? [...lead, k, m] : [...lead, m, k]);
        const right = device.tensor(b, turnB ? [...leadB, n, k] : [...leadB, k, n]);
        const y = ops.matmul(turnA ? ops.transpose(left) : left, turnB ? ops.transpose(right) : right);
        return epilogue ? ops.mul(ops.add(y, device.tensor(bias)), 2) : y;
      };
      const got = await build(one).data();
      expect(await build(two).data()).toEqual(got);
      // γ_k = k·u/(1 − k·u) times Σ|a||b|, and a rounding for each of bias and scale
      const u = 2 ** -24;
      for (let z = 0; z < batch; z++) {
        for (let i = 0; i < m; i += Math.max(1, m >> 2)) {
          for (let j = 0; j < n; j += Math.max(1, n >> 2)) {
            let [sum, size] = [0, 0];
            for (let p = 0; p < k; p++) {
              const x = a[z * m * k + (turnA ? p * m + i : i * k + p)]!;
              const y = b[(leadB.length === 0 ? 0 : z * k * n) + (turnB ? j * k + p : p * n + j)]!;
              sum += x * y;
              size += Math.abs(x * y);
            }
            const want = epilogue ? 2 * (sum + bias[j]!) : sum;
            const factor = epilogue ? 2 : 1;
            expect(Math.abs(got[(z * m + i) * n + j]! - want)).toBeLessThanOrEqual(
              factor * (k + 3) * u * (size + Math.abs(bias[j]!)) + 1e-30,
            );
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

it("a weight gradient stored transposed is computed the other way round", async () => {
  const w = one.parameter(new Float32Array(40 * 24), [40, 24]);
  const step = compile(one, ({ x, g }) => {
    w.assign(ops.transpose(ops.matmul(ops.transpose(x!), g!)));
    return {};
  });
  const [x, g] = [
    Float32Array.from({ length: 30 * 24 }, (_, i) => Math.sin(i)),
    Float32Array.from({ length: 30 * 40 }, (_, i) => Math.cos(i)),
  ];
  await step({ x: { data: x, shape: [30, 24] }, g: { data: g, shape: [30, 40] } });
  const got = await w.data();
  for (const [o, i] of [
    [0, 0],
    [39, 23],
    [7, 11],
  ] as const) {
    let want = 0;
    for (let t = 0; t < 30; t++) want += g[t * 40 + o]! * x[t * 24 + i]!;
    expect(Math.abs(got[o * 24 + i]! - want)).toBeLessThan(30 * 2 ** -24 * 30);
  }
});

const computed = fc.record({
  m: dim,
  k: dim,
  n: dim,
  batch: fc.constantFrom(1, 1, 3),
  turnA: fc.boolean(),
  turnB: fc.boolean(),
  kindA: fc.constantFrom("plain", "f16", "masked"),
  kindB: fc.constantFrom("plain", "bf16", "masked", "dequantized"),
  seed: fc.nat({ max: 999 }),
});

it("operands that are computed while packing give what they give from memory, whatever the threads", async () => {
  await fc.assert(
    fc.asyncProperty(computed, async ({ m, k, n, batch, turnA, turnB, kindA, kindB, seed }) => {
      const stream = new RandomStream(seed, "gemm");
      const lead = batch === 1 ? [] : [batch];
      const values = (shape: readonly number[]): Float32Array =>
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.normal());
      const codes = (shape: readonly number[]): Uint8Array =>
        Uint8Array.from({ length: Math.ceil(shape.reduce((a, b) => a * b, 1) / 2) }, () =>
          Math.floor(stream.uniform() * 256),
        );
      const make = (kind: string, shape: number[]): ((device: Device) => Tensor) => {
        const [x, c, table, scales] = [
          values(shape),
          codes(shape),
          values([16]),
          values([Math.ceil(shape.reduce((a, b) => a * b, 1) / 64)]),
        ];
        return (device) => {
          if (kind === "dequantized")
            return ops.dequantize(
              device.tensor(c, [c.length], "u8"),
              device.tensor(scales),
              device.tensor(table),
              shape,
              64,
            );
          const plain = device.tensor(x, shape);
          if (kind === "f16" || kind === "bf16") return ops.cast(ops.cast(plain, kind), "f32");
          return kind === "plain"
            ? plain
            : ops.dropout(plain, 0.3, { words: device.tensor([seed, 1], [2], "u32"), site: 3 });
        };
      };
      const left = make(kindA, turnA ? [...lead, k, m] : [...lead, m, k]);
      const right = make(kindB, turnB ? [...lead, n, k] : [...lead, k, n]);
      const [fused, apart] = await Promise.all(
        [one, unfused].map((d) =>
          (turnA
            ? ops.matmul(ops.transpose(left(d)), turnB ? ops.transpose(right(d)) : right(d))
            : ops.matmul(left(d), turnB ? ops.transpose(right(d)) : right(d))
          ).data(),
        ),
      );
      const again = await (
        turnA
          ? ops.matmul(ops.transpose(left(two)), turnB ? ops.transpose(right(two)) : right(two))
          : ops.matmul(left(two), turnB ? ops.transpose(right(two)) : right(two))
      ).data();
      expect(again).toEqual(fused);
      // both sum k products of the same numbers, perhaps in another order: 2·γ_k·Σ|a||b| with |normal| ≤ 6, |dequantized| ≤ 36, |masked| ≤ 9
      fused!.forEach((y, i) =>
        expect(Math.abs(y - apart![i]!)).toBeLessThanOrEqual(2 * (k + 1) * 2 ** -24 * k * 36 * 9),
      );
    }),
    { numRuns: 80 },
  );
});
