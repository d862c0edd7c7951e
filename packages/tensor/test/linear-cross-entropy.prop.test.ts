/** Cross-entropy of a linear layer in blocks of words: equal to that of stored outputs, whatever the blocks, in the memory that it promises. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, grad, init, mixedBf16, ops, withPrecision, type Device, type Tensor } from "../src/index.ts";

let exact: Device;
let one: Device;
let two: Device;
let plain: Device;
beforeAll(async () => {
  [exact, one, two, plain] = await Promise.all([
    init({ device: "reference" }),
    init({ device: "wasm", threads: 1 }),
    init({ device: "wasm", threads: 2 }),
    init({ device: "interpreter" }),
  ]);
});
afterAll(() => [exact, one, two, plain].forEach((d) => d.close()));

const IGNORED = -100;
const cases = fc
  .record({
    n: fc.integer({ min: 1, max: 9 }),
    // 16 f32 in a row: parts of four rows begin where buffers can
    inputs: fc.constantFrom(3, 16),
    words: fc.integer({ min: 2, max: 60 }),
    seed: fc.integer({ min: 0, max: 1e6 }),
    scale: fc.constantFrom(1, 8),
    bias: fc.boolean(),
    labelSmoothing: fc.constantFrom(0, 0, 0.1),
    reduction: fc.constantFrom("mean" as const, "sum" as const, "none" as const),
    wanted: fc.constantFrom("x", "weight", "bias", "all"),
    /** The table that the rows come from is the weight. */
    tied: fc.boolean(),
    ignored: fc.constantFrom("none", "some", "all"),
  })
  .chain((c) => fc.record({ base: fc.constant(c), block: fc.integer({ min: 1, max: c.words - 1 }) }))
  .map(({ base, block }) => ({ ...base, block }));
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function values(seed: number, count: number, scale: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.fround((scale * state) / 2 ** 31);
  });
}

/** Loss and gradients, the loss weighed by row where it is not reduced. */
async function results(device: Device, c: Case, blockSize: number): Promise<Float64Array[]> {
  const { n, inputs, words, seed, scale, labelSmoothing, reduction, wanted, tied, ignored } = c;
  const make = (s: number, shape: readonly number[], by: number) =>
    device.parameter(
      values(
        seed + s,
        shape.reduce((a, b) => a * b, 1),
        by,
      ),
      shape,
      device.defaultFloat,
    );
  const weight = make(1, [words, inputs], scale);
  const given = make(2, [n, inputs], 1);
  const bias = make(3, [words], 1);
  const ids = Int32Array.from({ length: n }, (_, i) => (i * 7 + seed) % words);
  const skips = (i: number): boolean => ignored === "all" || (ignored === "some" && i % 2 === 0);
  const labels = device.tensor(
    ids.map((id, i) => (skips(i) ? IGNORED : id)),
    [n],
    "i32",
  );
  const x = tied ? ops.mul(ops.embedding(weight.value, device.tensor(ids, [n], "i32")), given.value) : given.value;
  const options = { labelSmoothing, reduction, blockSize, ...(c.bias ? { bias: bias.value } : {}) };
  const loss = ops.linearCrossEntropy(x, weight.value, labels, options);
  const all = { x: [given], weight: [weight], bias: [bias], all: [given, weight, bias] }[wanted]!;
  const seedGradient = device.tensor(values(seed + 4, n, 1), [n], device.defaultFloat);
  const grads = grad(loss, all, reduction === "none" ? seedGradient : undefined);
  const out = await Promise.all([loss, ...grads].map(async (t) => Float64Array.from(await t.floats())));
  for (const p of [weight, given, bias]) p.dispose();
  return out;
}

function worst(got: Float64Array, want: Float64Array): number {
  const size = want.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-3);
  return got.reduce((a, v, i) => {
    const w = want[i]!;
    return Math.max(a, Number.isNaN(v) && Number.isNaN(w) ? 0 : Math.abs(v - w) / size);
  }, 0);
}

describe("in blocks of words", () => {
  test.prop([cases], { numRuns: 20 })("is cross-entropy of the outputs, and its gradients", async (c) => {
    const want = await results(exact, c, c.words);
    for (const [i, got] of (await results(exact, c, c.block)).entries())
      expect(worst(got, want[i]!)).toBeLessThan(1e-12);
    // outputs up to scale · inputs = 128 with an error of inputs/2 ulps each move exponents by as much: 128 · 8 · 2^-24 < 1e-4
    const [single, double, loops] = [
      await results(one, c, c.block),
      await results(two, c, c.block),
      await results(plain, c, c.block),
    ];
    for (const [i, w] of want.entries()) {
      expect(worst(single[i]!, w)).toBeLessThan(1e-4);
      expect(worst(loops[i]!, w)).toBeLessThan(1e-4);
      expect(double[i]).toEqual(single[i]);
    }
  });

  it("has the second derivatives of the whole", async () => {
    const second = async (blockSize: number): Promise<Float64Array[]> => {
      const [x, w] = [
        exact.parameter(values(1, 12, 1), [4, 3], "f64"),
        exact.parameter(values(2, 30, 2), [10, 3], "f64"),
      ];
      const labels = exact.tensor(Int32Array.of(0, 9, IGNORED, 4), [4], "i32");
      const loss = ops.linearCrossEntropy(x.value, w.value, labels, { blockSize });
      const sums = [[x], [x, w]].map((of) =>
        grad(loss, of)
          .map((g) => ops.sum(ops.mul(g, ops.add(g, 1))))
          .reduce((a, b) => ops.add(a, b)),
      );
      const out = sums.flatMap((s) => grad(s, [x, w]));
      return Promise.all(out.map(async (t) => Float64Array.from(await t.floats())));
    };
    const want = await second(10);
    for (const [i, got] of (await second(4)).entries()) expect(worst(got, want[i]!)).toBeLessThan(1e-12);
  });

  it("takes rows of −∞ and of large outputs", async () => {
    const at = async (blockSize: number): Promise<number[]> => {
      const x = exact.tensor(Float64Array.of(1, 1, 1), [3, 1]);
      const bias = exact.tensor(Float64Array.of(-Infinity, -Infinity, 900, 0, -900, -Infinity), [6]);
      const w = exact.tensor(new Float64Array(6), [6, 1]);
      const labels = exact.tensor(Int32Array.of(2, 3, 4), [3], "i32");
      const loss = ops.linearCrossEntropy(x, w, labels, { bias, blockSize, reduction: "none" });
      return [...(await ops.abs(loss).floats())];
    };
    expect(await at(2)).toEqual([0, 900, 1800]);
    expect(await at(6)).toEqual([0, 900, 1800]);
  });

  it("gives NaN to labels that the device computed and that are no words", async () => {
    const labels = ops.add(exact.tensor(Int32Array.of(1, 4, IGNORED - 1), [3], "i32"), 1);
    const x = exact.parameter(values(1, 6, 1), [3, 2], "f64");
    const w = exact.tensor(values(2, 10, 1), [5, 2]);
    const loss = ops.linearCrossEntropy(x.value, w, labels, { blockSize: 2, reduction: "none" });
    const [dx] = grad(loss, [x], exact.tensor(Float64Array.of(1, 1, 1), [3]));
    expect([...(await loss.floats())].map(Number.isNaN)).toEqual([false, true, false]);
    expect([...(await dx!.floats())].map(Number.isNaN)).toEqual([false, false, true, true, false, false]);
  });

  it("computes products as the policy of the forward pass says, and all else in full", async () => {
    const both = [10, 4].map((blockSize) => {
      const [x, w] = [one.parameter(values(1, 12, 1), [4, 3]), one.parameter(values(2, 30, 2), [10, 3])];
      const labels = one.tensor(Int32Array.of(0, 9, IGNORED, 4), [4], "i32");
      const loss = withPrecision(mixedBf16, () => ops.linearCrossEntropy(x.value, w.value, labels, { blockSize }));
      return { loss, grads: grad(loss, [x, w]) };
    });
    expect(both.map(({ loss }) => loss.dtype)).toEqual(["f32", "f32"]);
    expect(await both[1]!.loss.item()).toBeCloseTo(await both[0]!.loss.item(), 5);
    for (const [i, g] of both[1]!.grads.entries())
      // gradients of the whole are rounded to bf16 on their way, to 2^-8 of themselves
      expect(
        worst(Float64Array.from(await g.floats()), Float64Array.from(await both[0]!.grads[i]!.floats())),
      ).toBeLessThan(2e-2);
  });
});

describe("memory of 512 rows over 65,536 words, by the plan", () => {
  const [n, inputs, words] = [512, 640, 65_536];
  const rows = 4 * n * inputs;
  const table = 4 * words * inputs;

  function planned(wanted: "nothing" | "x" | "all", weight: (device: Device) => Tensor, count = n): number {
    const x = one.parameter(new Float32Array(count * inputs), [count, inputs]);
    const step = compile(one, ({ labels }) => {
      const w = weight(one);
      const loss = ops.linearCrossEntropy(x.value, w, labels!);
      if (wanted === "nothing") return { loss };
      const grads = grad(loss, wanted === "x" ? [x] : ([x.value, w] as Tensor[]));
      // what takes a step with the weight's gradient reads it element by element
      return { loss, dx: grads[0]!, ...(wanted === "x" ? {} : { size: ops.sum(ops.square(grads[1]!), 1) }) };
    });
    const { arenaBytes } = step.plan({ labels: { shape: [count], dtype: "i32" } });
    x.dispose();
    return arenaBytes;
  }

  it("is two blocks of outputs, or the weight's gradient and two blocks", () => {
    const w = one.parameter(new Float32Array(words * inputs), [words, inputs]);
    const plain32 = (): Tensor => w.value;
    expect(planned("nothing", plain32)).toBeLessThan(20e6);
    expect(planned("x", plain32) - 2 * rows).toBeLessThan(36e6);
    expect(planned("all", plain32) - 2 * rows - table).toBeLessThan(64e6);
    // more rows than columns, in more blocks than are kept: outputs are computed again
    expect(planned("all", plain32, 1536) - 6 * rows - table).toBeLessThan(64e6);
    w.dispose();
  });

  it("is that of a weight in eight bits too", () => {
    const codes = one.parameter(new Uint8Array(words * inputs), [words, inputs / 32, 32], "u8");
    const scales = one.parameter(new Uint16Array((words * inputs) / 32), [words, inputs / 32, 1], "f16", "f16");
    const decoded = (): Tensor =>
      ops.reshape(ops.mul(ops.cast(codes.value, "f32"), ops.cast(scales.value, "f32")), [words, inputs]);
    expect(planned("x", decoded) - 2 * rows).toBeLessThan(36e6);
    codes.dispose();
    scales.dispose();
  });
});

it("a padded constant is read by several kernels", async () => {
  const x = one.tensor(Float32Array.of(1, 2, 3), [3]);
  const mask = ops.ge(ops.pad(one.full([2], 2), [[0, 1]]), x);
  const [a, b] = [ops.where(mask, ops.exp(x), 0), ops.sum(ops.where(mask, x, 0))];
  const out = await compile(one, () => ({ a, b: ops.mul(b, ops.amax(ops.cast(mask, "f32"))) }))({});
  expect([await out.b.item(), (await out.a.floats())[2]]).toEqual([3, 0]);
});
