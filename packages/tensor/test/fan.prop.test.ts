/** Results of products that several elementwise nodes want: activations and their slopes are computed beside the product. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile, grad, init, ops, type Device, type Tensor } from "../src/index.ts";

let together: Device[];
let exact: Device;
beforeAll(async () => {
  exact = await init({ device: "reference" });
  together = await Promise.all([init({ device: "wasm", threads: 1 }), init({ device: "wasm", threads: 2 })]);
});
afterAll(() => [...together, exact].forEach((d) => d.close()));

const activations: Record<string, (x: Tensor, other: Tensor) => Tensor> = {
  gelu: (x) => ops.gelu(x),
  geluTanh: (x) => ops.gelu(x, "tanh"),
  silu: (x) => ops.silu(x),
  relu: (x) => ops.relu(x),
  square: (x) => ops.mul(x, x),
  twice: (x) => ops.mul(ops.gelu(x), ops.exp(ops.neg(ops.abs(x)))),
  gated: (x, other) => ops.mul(ops.silu(x), other),
  residual: (x, other) => ops.add(ops.gelu(x), ops.mul(x, other)),
  centred: (x) => ops.sub(x, ops.mean(x, -1, true)),
};

const cases = fc.record({
  name: fc.constantFrom(...Object.keys(activations)),
  tall: fc.integer({ min: 1, max: 4 }),
  rows: fc.integer({ min: 1, max: 9 }),
  k: fc.integer({ min: 1, max: 20 }),
  n: fc.integer({ min: 1, max: 30 }),
  deep: fc.boolean(),
  bias: fc.boolean(),
  adapter: fc.boolean(),
  other: fc.constantFrom("given", "product"),
  read: fc.boolean(),
  next: fc.constantFrom("product", "sum"),
  backward: fc.boolean(),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function build(
  device: Device,
  { name, tall, rows, k, n, deep, bias, adapter, other, read, next, backward }: Case,
): Tensor[] {
  const m = tall * rows;
  const host = (seed: number, shape: readonly number[]): Tensor =>
    device.tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 1.5 * Math.sin(0.7 * i + seed)),
      [...shape],
    );
  const [x, w, u, a, b] = [host(1, [m, k]), host(2, [k, n]), host(3, [k, n]), host(4, [k, 2]), host(5, [2, n])];
  let h = ops.matmul(x, w);
  if (adapter) h = ops.add(h, ops.matmul(ops.matmul(x, a), b));
  if (bias) h = ops.add(h, host(6, [n]));
  const shape = deep ? [tall, rows, n] : [m, n];
  h = ops.reshape(h, shape);
  const second = other === "given" ? host(7, shape) : ops.reshape(ops.matmul(x, u), shape);
  const y = activations[name]!(h, second);
  const out = next === "sum" ? y : ops.matmul(ops.reshape(y, [m, n]), host(8, [n, 3]));
  const loss = ops.sum(ops.mul(out, out));
  return [
    loss,
    ...(backward
      ? grad(
          loss,
          [x, w, u, a, b]
            .slice(0, adapter ? 5 : other === "product" ? 3 : 2)
            .filter((t) => t !== u || (other === "product" && ["gated", "residual"].includes(name))),
        )
      : []),
    ...(read ? [ops.sum(h, -1)] : []),
  ];
}

/**
 * Three products of at most 30 terms follow one another, then a sum of squares: about a hundred roundings of 2⁻²⁴ on the way, each grown by what
 * follows it. Operands are at most 1.5, so no step grows it more than some tens of times the largest result (or 1, where results cancel).
 */
const TOLERANCE = 2e-4;

it("agrees with f64, and any number of threads to the bit", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (c) => {
      const [definition, ...found] = await Promise.all(
        [exact, ...together].map(async (device) => {
          const built = build(device, c);
          await device.realize(...built);
          return Promise.all(built.map(async (t) => Array.from(await t.floats(), (v) => v + 0)));
        }),
      );
      for (const other of found) expect(other).toEqual(found[0]);
      definition!.forEach((values, i) => {
        const scale = Math.max(1, ...values.map(Math.abs));
        values.forEach((v, j) =>
          expect(Math.abs(found[0]![i]![j]! - v), `result ${i} at ${j}`).toBeLessThanOrEqual(TOLERANCE * scale),
        );
      });
    }),
    { numRuns: 400 },
  );
});

/** Labels of the kernels that a step of `loss` takes, and the arena it needs in f32 numbers. */
async function kernels(
  loss: (x: Tensor, w: Tensor, v: Tensor) => Record<string, Tensor>,
): Promise<{ labels: string[]; floats: number }> {
  const device = await init({ device: "wasm", threads: 1 });
  const step = compile(device, ({ x, w, v }) => loss(x!, w!, v!));
  const of = (shape: number[]): { data: Float32Array; shape: number[] } => ({
    data: Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => Math.sin(i)),
    shape,
  });
  let labels: string[] = [];
  step.onTimings = (timings) => {
    labels = timings.map((t) => t.label);
  };
  await step({ x: of([96, 32]), w: of([32, 64]), v: of([64, 48]) });
  const floats = device.memory().arena / 4;
  device.close();
  return { labels, floats };
}

it("computes GELU in its product's kernel", async () => {
  const { labels } = await kernels((x, w, v) => ({ y: ops.matmul(ops.gelu(ops.matmul(x, w)), v) }));
  // a packing and a multiplication each
  expect(labels.length, labels.join("; ")).toBe(4);
});

it("keeps GELU and its slope for the backward pass, not what they came from", async () => {
  const { labels, floats } = await kernels((x, w, v) => {
    const y = ops.matmul(ops.gelu(ops.matmul(x, w)), v);
    const [dw, dv] = grad(ops.sum(ops.mul(y, y)), [w, v]) as [Tensor, Tensor];
    return { dw, dv };
  });
  expect(
    labels.filter((l) => l.includes("normalCdf")).every((l) => l.includes("matmul")),
    labels.join("; "),
  ).toBe(true);
  // operands and results 96·32 + 32·64 + 64·48 twice, GELU, slope and gradient 3 · 96·64, product and its gradient 2 · 96·48
  expect(floats).toBeLessThan(2 * (96 * 32 + 32 * 64 + 64 * 48) + 3 * 96 * 64 + 2 * 96 * 48);
});
