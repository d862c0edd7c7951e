/** Precision policies: what is rounded, where, and that delicate ops survive what half precision cannot hold. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  checkpoint,
  compile,
  f16ToF32,
  f32ToF16,
  grad,
  init,
  mixedBf16,
  mixedF16,
  ops,
  withPrecision,
  type Device,
  type Tensor,
} from "../src/index.ts";

let wasm: Device;
let exact: Device;
beforeAll(async () => {
  wasm = await init({ device: "wasm", threads: 1 });
  exact = await init({ device: "reference" });
});
afterAll(() => {
  wasm.close();
  exact.close();
});

const h = (x: number): number => f16ToF32(f32ToF16(Float32Array.of(x)))[0]!;

it("a product under a policy is the product of rounded operands, accumulated in f32 and rounded once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 6, maxLength: 6 }),
      async (v) => {
        const [a, b] = [v.slice(0, 3), v.slice(3)];
        const y = withPrecision(mixedF16, () => ops.matmul(wasm.tensor(a, [1, 3]), wasm.tensor(b, [3, 1])));
        expect(y.dtype).toBe("f16");
        const sum = a.reduce((s, x, i) => s + h(Math.fround(x)) * h(Math.fround(b[i]!)), 0);
        // the f32 sum of three exact products is off by at most 3·2⁻²⁴·Σ|ab| ≤ 3·2⁻²⁴·48 before the one rounding to half
        const [got] = (await y.tolist()) as [[number]];
        expect(Math.abs(got![0]! - sum)).toBeLessThanOrEqual(Math.abs(sum) * 2 ** -11 + 2 ** -25 + 3 * 2 ** -24 * 48);
      },
    ),
    { numRuns: 50 },
  );
});

describe("classes", () => {
  it("delicate ops give f32 under a policy and the operand's dtype without one", () => {
    const x = ops.cast(wasm.tensor([[1, 2, 3]]), "f16");
    const dtypes = (): string[] =>
      [
        ops.softmax(x),
        ops.layerNorm(x, wasm.tensor([1, 1, 1]), wasm.tensor([0, 0, 0]), 1e-5),
        ops.sum(x),
        ops.exp(x),
      ].map((y) => y.dtype);
    expect(withPrecision(mixedF16, dtypes)).toEqual(["f32", "f32", "f32", "f32"]);
    expect(dtypes()).toEqual(["f16", "f32", "f16", "f16"]);
  });

  it("activations go back to the dtype they were given", () => {
    const x = ops.cast(wasm.tensor([1, 2, 3]), "bf16");
    expect(withPrecision(mixedBf16, () => ops.gelu(x)).dtype).toBe("bf16");
    expect(ops.gelu(x).dtype).toBe("bf16");
  });

  it("gradients come back in the dtype of what they belong to", () => {
    const [x, w] = [wasm.tensor([[1, 2]]), wasm.tensor([[3, 4]])];
    const grads = withPrecision(mixedF16, () => grad(ops.sum(ops.gelu(ops.linear(x, w))), [x, w]));
    expect(grads.map((g) => g.dtype)).toEqual(["f32", "f32"]);
  });
});

it("softmax of rows with infinities: zeros where all are masked, NaN where one is ∞, as torch has it", async () => {
  const rows = [
    [-Infinity, -Infinity, -Infinity],
    [Infinity, 1, -Infinity],
    [NaN, 1, 2],
    [0, -Infinity, 0],
    [-3e38, 3e38, 0],
    [-200, 0, -90],
  ];
  for (const device of [wasm, exact]) {
    const y = (await ops.softmax(device.tensor(rows)).tolist()) as number[][];
    expect(y.slice(0, 5)).toEqual([
      [0, 0, 0],
      [NaN, NaN, NaN],
      [NaN, NaN, NaN],
      [0.5, 0, 0.5],
      [0, 1, 0],
    ]);
    y[5]!.forEach((v, i) => expect(Math.abs(v - [0, 1, 0][i]!)).toBeLessThan(1e-38));
  }
});

it("a checkpoint is computed again under the policy of its forward pass, wherever grad is called", async () => {
  const [w, v] = [wasm.parameter([0.3, -0.7, 1.1, 0.2], [2, 2]), wasm.parameter([0.9, 0.1, -0.4, 0.6], [2, 2])];
  const x = wasm.tensor([0.11, 0.27, -1.3, 0.71], [2, 2]);
  const body = (input: Tensor): Tensor => ops.matmul(ops.tanh(ops.matmul(input, w.value)), v.value);
  const gradients = (kept: boolean): Tensor[] => {
    const y = withPrecision(mixedBf16, () => (kept ? body(x) : checkpoint(body, [x])));
    return grad(ops.sum(ops.square(ops.cast(y, "f32"))), [w, v]);
  };
  const [kept, again] = [gradients(true), gradients(false)];
  for (const [i, g] of again.entries()) expect(await g.floats()).toEqual(await kept[i]!.floats());
});

it("the trace sees codes behind whatever decodes them, and no storage behind activations", async () => {
  const [codes, scales] = [wasm.parameter([1, 2, 3, 4], [2, 2], "u8"), wasm.parameter([0.5, 0.25], [2, 1])];
  const step = compile(wasm, ({ x }) => {
    const weight = ops.mul(ops.sub(ops.cast(codes.value, "f32"), 128), scales.value);
    return { y: ops.matmul(ops.mul(x!, scales.value), weight) };
  });
  await step({ x: { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] } });
  expect(step.info()[0]?.dtypes.products.map(({ stored }) => stored)).toEqual([[undefined, "u8"]]);
});

describe("half precision on adversarial inputs stays finite and near f64", () => {
  const on = (device: Device, rows: readonly number[][]): Tensor =>
    ops.cast(device.tensor(rows.map((r) => [...r])), "f16");
  const both = async (f: (device: Device) => Tensor): Promise<[number[], number[]]> => [
    [...(await wasm.readFloats(f(wasm)))],
    [...(await exact.readFloats(f(exact)))],
  ];

  it("layer norm over entries of 3,000, over constant rows and over tiny ones", async () => {
    const n = 768;
    const rows = [
      Array.from({ length: n }, (_, i) => (i === 5 ? 3000 : i === 9 ? -2900 : Math.sin(i))),
      Array.from({ length: n }, () => 3000),
      Array.from({ length: n }, (_, i) => 6e-5 * Math.cos(i)),
    ];
    for (const eps of [1e-12, 1e-5]) {
      const [got, want] = await both((d) =>
        ops.layerNorm(
          on(d, rows),
          ops.cast(d.tensor(Array.from({ length: n }, () => 1)), "f16"),
          ops.cast(d.tensor(Array.from({ length: n }, () => 0)), "f16"),
          eps,
        ),
      );
      // one rounding to half on either side, and f32 statistics: 2⁻¹⁰·|y| + 2⁻²⁴, plus n·2⁻²⁴ of the row's largest
      got.forEach((y, i) => {
        expect(Number.isFinite(y)).toBe(true);
        expect(Math.abs(y - want[i]!)).toBeLessThanOrEqual(
          2 ** -10 * Math.abs(want[i]!) + 2 ** -24 + 768 * 2 ** -24 * 28,
        );
      });
    }
  });

  it("attention with logits of ±6e4 and rows that may attend nothing", async () => {
    const [s, d] = [8, 64];
    // q·k = ±64·31² ≈ ±6.15e4 before scaling: beyond half's 65,504 once rows add up, fine in f32
    const q = Array.from({ length: s }, (_, i) => Array.from({ length: d }, () => (i % 2 === 0 ? 31 : -31)));
    const k = Array.from({ length: s }, (_, j) =>
      Array.from({ length: d }, (_, c) => 31 * (j % 3 === 0 ? 1 : -1) + 0.01 * c * j),
    );
    const v = Array.from({ length: s }, (_, j) => Array.from({ length: d }, (_, c) => Math.sin(j * d + c)));
    const mask = Array.from({ length: s * s }, (_, i) => (Math.floor(i / s) === 3 ? 0 : 1));
    const run = (device: Device): Tensor =>
      withPrecision(mixedF16, () => {
        const part = (rows: number[][]): Tensor => ops.reshape(on(device, rows), [1, 1, s, d]);
        return ops.attention(part(q), part(k), part(v), {
          mask: device.tensor(Uint8Array.from(mask), [1, 1, s, s], "bool"),
        });
      });
    const [got, want] = await both(run);
    got.forEach((y, i) => {
      expect(Number.isFinite(y)).toBe(true);
      // logits near 7,700 carry an f32 error of 64·2⁻²⁴·7,700 ≈ 0.03, so weights may be off by 3 %, values are below 1, results rounded to half
      expect(Math.abs(y - want[i]!)).toBeLessThanOrEqual(0.06 + 2 ** -10);
    });
    expect(got.slice(3 * d, 4 * d)).toEqual(new Array(d).fill(0));
  });

  it("gelu_new and its gradient where x³ overflows half", async () => {
    const x = wasm.tensor([-200, -45, 45, 200, 60000]);
    const half = ops.cast(x, "f16");
    const y = ops.gelu(half, "tanh");
    expect([...(await wasm.readFloats(y))]).toEqual([0, 0, 45, 200, 60000].map(h).map((e, i) => (i < 2 ? -0 * e : e)));
    const [g] = grad(ops.sum(ops.cast(y, "f32")), [half]);
    expect((await wasm.readFloats(g!)).every(Number.isFinite)).toBe(true);
  });
});

it("the trace of dtypes tells what ran", async () => {
  const w = wasm.parameter(
    Float32Array.from({ length: 16 }, (_, i) => i),
    [4, 4],
    "f16",
  );
  const build = (mixed: boolean) =>
    compile(wasm, ({ x }) => ({
      y: withPrecision(mixed ? mixedF16 : undefined, () =>
        ops.sum(ops.softmax(ops.linear(x!, ops.cast(w.value, "f32")))),
      ),
    }));
  const spec = { x: { shape: [2, 4], dtype: "f32" } } as const;
  expect(build(true).plan(spec).dtypes.products).toEqual([
    { operands: ["f16", "f16"], result: "f16", stored: [undefined, "f16"], count: 1 },
  ]);
  expect(build(false).plan(spec).dtypes.products).toEqual([
    { operands: ["f32", "f32"], result: "f32", stored: [undefined, "f16"], count: 1 },
  ]);
  expect(Object.keys(build(true).plan(spec).dtypes.reductions)).toEqual(["f32"]);
  expect(build(true).plan(spec).dtypes.storage).toEqual({ f16: 32 });
});

it("the trace of norms tells the residual stream from an adapter's product on a layer's", () => {
  const [w, v, scale] = [
    wasm.parameter(new Float32Array(16), [4, 4]),
    wasm.parameter(new Float32Array(16), [4, 4]),
    wasm.parameter([1, 1, 1, 1]),
  ];
  const traceOf = (body: (x: Tensor) => Tensor) =>
    compile(wasm, ({ x }) => ({ y: withPrecision(mixedF16, () => ops.rmsNorm(body(x!), scale.value, 1e-6)) })).plan({
      x: { shape: [2, 4], dtype: "f32" },
    }).dtypes.norms;
  const adapted = (x: Tensor): Tensor =>
    ops.add(ops.linear(x, w.value, scale.value), ops.mul(ops.linear(x, v.value), 2));
  expect(traceOf(adapted)).toEqual({ sums: {}, others: { f16: 1 } });
  expect(traceOf((x) => ops.add(x, adapted(x)))).toEqual({ sums: { f32: 1 }, others: {} });
  expect(traceOf((x) => ops.add(ops.cast(x, "f16"), adapted(x)))).toEqual({ sums: { f16: 1 }, others: {} });
  expect(traceOf((x) => ops.cast(ops.add(x, adapted(x)), "f16"))).toEqual({ sums: { f16: 1 }, others: {} });
});

it("gradients do not depend on the policy in force where they are asked for", async () => {
  // attention keeps its weights up to 256 keys and goes in tiles beyond
  for (const keys of [256, 257])
    for (const policy of [mixedF16, mixedBf16]) {
      const values = Float32Array.from({ length: keys * 8 }, (_, i) => Math.sin(i));
      const x = wasm.tensor(values, [1, 1, keys, 8]);
      const loss = (): Tensor => ops.sum(ops.attention(x, x, x, { causal: true }));
      const [inside] = withPrecision(policy, () => grad(loss(), [x]));
      const [outside] = grad(withPrecision(policy, loss), [x]);
      expect(inside!.dtype).toBe("f32");
      expect(await inside!.data()).toEqual(await outside!.data());
    }
});
