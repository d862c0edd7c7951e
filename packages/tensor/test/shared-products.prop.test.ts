/** Products that meet in a sum become one kernel, whatever views, masks and factors lie between: on integers, which are exact in any order. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile, init, ops, type Device, type Tensor } from "../src/index.ts";

let devices: Device[];
beforeAll(async () => {
  devices = await Promise.all([
    init({ device: "reference" }),
    init({ device: "interpreter" }),
    init({ device: "wasm", threads: 1 }),
    init({ device: "wasm", threads: 2 }),
  ]);
});
afterAll(() => devices.forEach((d) => d.close()));

const small = fc.integer({ min: 1, max: 5 });
const term = fc.record({
  k: fc.integer({ min: 1, max: 12 }),
  turned: fc.boolean(),
  how: fc.constantFrom("plain", "masked", "scaled", "abs"),
  deep: fc.boolean(),
});
const cases = fc.record({
  batch: fc.constantFrom(0, 0, 0, 3, 4),
  tall: small,
  rows: small,
  wide: small,
  columns: small,
  terms: fc.array(term, { minLength: 1, maxLength: 5 }),
  pairs: fc.boolean(),
  residual: fc.boolean(),
  end: fc.constantFrom("none", "flat", "heads", "columns"),
  read: fc.boolean(),
});

function ints(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7 + seed * 13) % 7) - 3);
}

it("give what their definition gives", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ batch, tall, rows, wide, columns, terms, pairs, residual, end, read }) => {
      const [m, n] = [tall * rows, wide * columns];
      const lead = batch === 0 ? [] : [batch];
      const deepLead = batch === 4 ? [2, 2] : lead;
      const deep = [...deepLead, tall, rows, n];
      const build = (device: Device): Tensor[] => {
        const host = (seed: number, shape: number[]): Tensor =>
          device.tensor(
            ints(
              shape.reduce((a, b) => a * b, 1),
              seed,
            ),
            shape,
          );
        const parts = terms.map(({ k, turned, how, deep: inDepth }, i) => {
          const product = ops.matmul(
            host(i, [...lead, m, k]),
            turned ? ops.transpose(host(i + 9, [...lead, n, k])) : host(i + 9, [...lead, k, n]),
          );
          const x = inDepth ? ops.reshape(product, deep) : product;
          const y =
            how === "masked"
              ? ops.where(ops.lt(0, host(i + 20, [...x.shape])), x, 0)
              : how === "scaled"
                ? ops.mul(x, 2)
                : how === "abs"
                  ? ops.abs(x)
                  : x;
          return ops.reshape(y, deep);
        });
        let sum = pairs ? parts.reduceRight((a, b) => ops.add(b, a)) : parts.reduce((a, b) => ops.add(a, b));
        if (residual) sum = ops.add(sum, host(50, deep));
        const shaped =
          end === "flat"
            ? ops.reshape(sum, [...lead, m, n])
            : end === "heads"
              ? ops.transpose(ops.reshape(sum, [...deepLead, tall, rows, wide, columns]), -3, -2)
              : end === "columns"
                ? ops.transpose(ops.reshape(sum, [...lead, m, n]))
                : sum;
        // a second reader of one part keeps it in memory
        return read ? [shaped, ops.sum(parts[0]!)] : [shaped];
      };
      const [expected, ...others] = await Promise.all(
        devices.map(async (device) => {
          const built = build(device);
          await device.realize(...built);
          return Promise.all(built.map(async (x) => Array.from(await x.floats(), (v) => v + 0)));
        }),
      );
      for (const other of others) expect(other).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

it.each([
  [
    "a base weight and its adapter",
    3,
    (x: Tensor, w: Tensor, a: Tensor, b: Tensor): Tensor =>
      ops.add(ops.reshape(ops.matmul(x, w), [4, 16, 32]), ops.reshape(ops.matmul(a, b), [4, 16, 32])),
  ],
  [
    "the same with a mask on the adapter's part",
    3,
    (x: Tensor, w: Tensor, a: Tensor, b: Tensor): Tensor =>
      ops.add(ops.matmul(x, w), ops.where(ops.lt(0, x), ops.matmul(a, b), 0)),
  ],
  [
    "products that meet in nothing",
    4,
    (x: Tensor, w: Tensor, a: Tensor, b: Tensor): Tensor =>
      ops.sum(ops.concat([ops.matmul(x, w), ops.matmul(a, b)], 1), [0]),
  ],
] as const)("%s take %i phases: a packing of each, and one or two that multiply", async (_, count, build) => {
  const device = devices[2]!;
  const step = compile(device, ({ x, w, a, b }) => ({ y: build(x!, w!, a!, b!) }));
  const of = (shape: number[]): { data: Float32Array; shape: number[] } => ({
    data: ints(shape[0]! * shape[1]!, 1),
    shape,
  });
  let labels: string[] = [];
  step.onTimings = (timings) => {
    labels = timings.map((t) => t.label);
  };
  await step({ x: of([64, 32]), w: of([32, 32]), a: of([64, 8]), b: of([8, 32]) });
  expect(labels.filter((l) => l.includes("matmul")).length, labels.join("; ")).toBe(count);
});
