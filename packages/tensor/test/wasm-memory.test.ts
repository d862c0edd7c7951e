/** Memory between 2 and 4 GiB, and what does not fit. Pages that nobody touches cost nothing. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { Cell } from "../src/graph/cell.ts";
import { compile, grad, init, ops, Parameter, type Device, type DType, type Tensor } from "../src/index.ts";
import { openWasm, takeMemoryUpTo } from "./support/wasm.ts";

const [MIB, GIB] = [2 ** 20, 2 ** 30];
const open: Device[] = [];
afterEach(() => open.splice(0).forEach((device) => device.close()));
async function opened(threads: number, from = 0): Promise<Device> {
  const device = await openWasm(threads);
  open.push(device);
  if (from > 0) takeMemoryUpTo(device, from);
  return device;
}

const wave = (count: number, phase: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(0.7 * i + phase));
/** A parameter of zeros whose pages nobody has touched. */
const untouched = (device: Device, shape: number[], dtype: DType = "f32"): Parameter =>
  new Parameter(
    device,
    new Cell(
      device.engine,
      dtype,
      shape,
      device.engine.allocate(
        dtype,
        shape.reduce((a, b) => a * b, 1),
      ),
    ),
  );

/** A few steps of training: products with their gradients, a gather and its scatter, softmax, dropout, updates in place. */
async function train(device: Device): Promise<number[]> {
  const [vocabulary, width, tokens] = [300, 96, 128];
  const table = device.parameter(wave(vocabulary * width, 1), [vocabulary, width]);
  const weight = device.parameter(wave(width * width, 2), [width, width]);
  const step = compile(device, ({ ids, words }) => {
    const x = ops.embedding(table.value, ids!);
    const y = ops.matmul(
      ops.softmax(ops.matmul(ops.dropout(x, 0.1, { words: words!, site: 3 }), weight.value)),
      ops.transpose(weight.value),
    );
    const loss = ops.mean(ops.mul(y, ops.tanh(x)));
    const gradients = grad(loss, [table.value, weight.value]);
    [table, weight].forEach((p, i) => p.assign(ops.sub(p.value, ops.mul(gradients[i]!, 0.1))));
    return { loss };
  });
  const out: number[] = [];
  for (let i = 0; i < 3; i++) {
    const { loss } = await step({
      ids: { data: Int32Array.from({ length: tokens }, (_, t) => (t * 7 + i) % vocabulary), shape: [tokens] },
      words: { data: Uint32Array.of(5, i), shape: [2] },
    });
    out.push(await loss.item());
  }
  return [...out, ...(await table.data()), ...(await weight.data())];
}

describe.each([1, 2])("with %d threads", (threads) => {
  it.for([2.4, 3.8])("%d GiB of parameters compute right", async (gib) => {
    const device = await opened(threads);
    const parameters = Array.from({ length: Math.round(gib * 10) }, () =>
      untouched(device, [Math.floor(GIB / 10 / 4) - 1]),
    );
    expect(device.memory().persistent).toBeGreaterThan((gib - 0.01) * GIB);
    expect(await ops.add(device.tensor([2]), 3).item()).toBe(5);
    expect(await train(device)).toEqual(await train(await opened(threads)));
    const last = parameters.at(-1)!;
    expect(await ops.sum(ops.slice(last.value, 0, last.size - 3, last.size)).item()).toBe(0);
  });

  it("steps have the same bits wherever the 2 GiB boundary cuts their memory", async () => {
    const want = await train(await opened(threads));
    for (const before of [64, 40_000, 150_000, 300_000])
      expect(await train(await opened(threads, 2 * GIB - before))).toEqual(want);
  });
});

type Move = (x: Tensor, weight: (rows: number, columns: number) => Tensor) => Tensor;
/** What random plans are made of: each takes a matrix to a matrix. */
const moves: Readonly<Record<string, Move>> = {
  tanh: (x) => ops.tanh(x),
  softmax: (x) => ops.softmax(x),
  turned: (x) => ops.transpose(x),
  centred: (x) => ops.sub(x, ops.mean(x, [1], true)),
  down: (x) => ops.mul(x, ops.amax(x, [0], true)),
  half: (x) => ops.cast(ops.cast(x, "f16"), "f32"),
  rows: (x) => ops.embedding(x, x.device.tensor(Int32Array.from({ length: 37 }, (_, i) => (i * 5) % x.shape[0]!))),
  product: (x, weight) => ops.matmul(x, weight(x.shape[1]!, 48)),
  flat: (x, weight) => ops.matmul(weight(3, x.shape[0]!), x),
  gram: (x) => ops.matmul(x, ops.transpose(x)),
};
const plans = fc.record({
  rows: fc.integer({ min: 1, max: 90 }),
  columns: fc.integer({ min: 1, max: 90 }),
  before: fc.integer({ min: 0, max: 4000 }).map((lines) => 64 * lines),
  path: fc.array(fc.constantFrom(...Object.keys(moves)), { minLength: 1, maxLength: 7 }),
});

it.for([
  [1, 16],
  [2, 8],
] as const)(
  "random plans, their gradients and updates have the same bits across the 2 GiB boundary, on %d threads",
  async ([threads, numRuns]) => {
    const low = await opened(threads);
    await fc.assert(
      fc.asyncProperty(plans, async ({ rows, columns, before, path }) => {
        const run = async (device: Device): Promise<ArrayLike<number>[]> => {
          const p = device.parameter(wave(rows * columns, 1), [rows, columns]);
          const weight = (r: number, c: number): Tensor => device.parameter(wave(r * c, 2), [r, c]).value;
          const y = path.reduce((x, move) => moves[move]!(x, weight), p.value);
          const [gradient] = grad(ops.mean(y), [p.value]);
          p.assign(ops.sub(p.value, gradient!));
          await device.realize(y, gradient!);
          return [await y.data(), await gradient!.data(), await p.data()];
        };
        const high = await openWasm(threads);
        takeMemoryUpTo(high, 2 * GIB - before);
        expect(await run(high)).toEqual(await run(low));
        high.close();
      }),
      { numRuns },
    );
  },
);

const dim = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(4, 8, 64, 256));
const products = fc.record({
  m: dim,
  k: dim,
  n: dim,
  turned: fc.boolean(),
  before: fc.integer({ min: 0, max: 12_000 }).map((lines) => 64 * lines),
  boundary: fc.constantFrom(2 * GIB, 4 * GIB - 4 * MIB),
});

it("products have the same bits wherever in memory they are", async () => {
  const low = await opened(1);
  await fc.assert(
    fc.asyncProperty(products, async ({ m, k, n, turned, before, boundary }) => {
      const multiply = async (device: Device): Promise<ArrayLike<number>> => {
        const a = device.parameter(wave(m * k, 1), [m, k]);
        const b = device.parameter(wave(k * n, 2), turned ? [n, k] : [k, n]);
        return ops.tanh(ops.matmul(a.value, turned ? ops.transpose(b.value) : b.value)).data();
      };
      const high = await openWasm(1);
      takeMemoryUpTo(high, boundary - before);
      expect(await multiply(high)).toEqual(await multiply(low));
      high.close();
    }),
    { numRuns: 24 },
  );
});

it.for([
  [1, 4096],
  [7, 256],
  [1, 8],
] as const)("an operand of %d rows of products that ends where memory ends is read to its end", async ([m, n]) => {
  const k = 64;
  const multiply = async (device: Device, place: () => void, done: () => void): Promise<ArrayLike<number>> => {
    const a = device.parameter(wave(m * k, 1), [m, k]);
    place();
    const b = device.parameter(wave(k * n, 2), [k, n]);
    done();
    return ops.matmul(a.value, b.value).data();
  };
  const [low, high] = [await opened(1), await opened(1)];
  // room for everything else is kept until the operand has its place
  const room = high.engine.allocate("u8", 3 * MIB);
  const got = await multiply(
    high,
    () => takeMemoryUpTo(high, 4 * GIB - 4 * k * n),
    () => high.engine.release(room),
  );
  expect(got).toEqual(
    await multiply(
      low,
      () => {},
      () => {},
    ),
  );
  expect(high.memory().reserved).toBe(4 * GIB);
});

describe("what does not fit", () => {
  const refusal =
    /^wasm: out of memory: 4\.10 GiB more do not fit beside the \d+ bytes that are held; WebAssembly addresses 4 GiB\. Keep frozen weights in f16 or nf4, use a smaller batch, or device: "webgpu"$/;

  it("is said in one line before anything is allocated", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    open.push(device);
    const before = device.memory().reserved;
    const size = Math.round((4.1 * GIB) / 4);
    expect(() => device.ensureRoom(4 * size)).toThrow(refusal);
    expect(() => untouched(device, [size])).toThrow(refusal);
    const big = ops.matmul(device.zeros([1_074_791, 1]), device.zeros([1, 2 ** 10]));
    await expect(ops.sum(ops.matmul(big, device.zeros([2 ** 10, 1]))).item()).rejects.toThrow(
      /^wasm: out of memory: 4\.\d\d GiB more/,
    );
    expect(device.memory().reserved).toBe(before);
    device.ensureRoom(3.9 * GIB);
    expect(await ops.add(device.tensor([2]), 3).item()).toBe(5);
  });

  it("leaves a device that works, and what others keep on it untouched", async () => {
    const device = await opened(2);
    const weight = device.parameter(wave(1000, 1));
    const want = await train(device);
    const filler = untouched(device, [Math.round((3.7 * GIB) / 4)]);
    const big = (): Promise<number> =>
      ops
        .sum(ops.matmul(ops.matmul(device.zeros([2 ** 15, 1]), device.zeros([1, 2 ** 12])), device.zeros([2 ** 12, 1])))
        .item();
    await expect(big()).rejects.toMatchObject({ code: "DeviceError" });
    const other = device.parameter(wave(1000, 2));
    expect(await train(device)).toEqual(want);
    expect(await weight.data()).toEqual(wave(1000, 1));
    expect(await other.data()).toEqual(wave(1000, 2));
    filler.dispose();
    expect(await big()).toBe(0);
  });

  it("more elements than a loop can count are refused, not miscounted", async () => {
    const device = await opened(1);
    const bytes = untouched(device, [2 ** 31 + 64], "u8");
    bytes.assign(ops.add(bytes.value, 1));
    await expect(device.realize()).rejects.toThrow(/elements are more than a kernel can count/);
  });
});
