/** NaN has an order, torch's: last in sort, first in the largest, and the winner of maxima and minima. On every device. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grad, init, ops, type Device, type InitOptions, type Tensor } from "../src/index.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";

const devices: readonly (readonly [string, InitOptions, number])[] = [
  ["reference", { device: "reference" }, 60],
  ["interpreter", { device: "interpreter" }, 60],
  ["wasm", { device: "wasm", threads: 1 }, 60],
  ["wasm, no fusion", { device: "wasm", threads: 1, fusion: false }, 30],
  ["webgpu", { device: "webgpu" }, 6],
];

/** Rows of seven: a vector and a rest; of three rows, one is all NaN. */
const LENGTH = 7;
const value = fc.oneof(fc.constantFrom(NaN, NaN, -Infinity, Infinity, 0, -0), fc.integer({ min: -3, max: 3 }));
const row = fc.array(value, { minLength: LENGTH, maxLength: LENGTH });

/** torch's stable order: NaN is larger than anything, itself apart. */
function order(x: readonly number[], descending: boolean): number[] {
  const compare = (a: number, b: number): number =>
    Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : a < b ? -1 : a > b ? 1 : 0;
  return x.map((_, i) => i).sort((i, j) => (descending ? compare(x[j]!, x[i]!) : compare(x[i]!, x[j]!)) || i - j);
}

const plain = (x: Float64Array): number[] => Array.from(x, (v) => v + 0);

describe.each(devices)("on %s", (_, options, numRuns) => {
  let device: Device | undefined;
  let reason: string | undefined;
  beforeAll(async () => {
    if (options.device === "webgpu") reason = await swiftShaderAvailable();
    if (reason === undefined) device = await init(options);
  }, 120_000);
  afterAll(() => device?.close());

  test.prop([row, row], { numRuns })(
    "sort, topk, argmax, argmin, amax and amin order NaN as torch does",
    async (a, b) => {
      if (device === undefined) return;
      const rows = [a, b, a.map(() => NaN)];
      const x = device.tensor(Float64Array.from(rows.flat()), [3, LENGTH], device.defaultFloat);
      const up = ops.sort(x, 1);
      const down = ops.sort(x, 1, true);
      const top = ops.topk(x, 3, 1);
      const wanted = [
        up.values,
        up.indices,
        down.values,
        down.indices,
        top.values,
        top.indices,
        ops.argmax(x, 1),
        ops.argmin(x, 1),
        ops.amax(x, 1),
        ops.amin(x, 1),
      ];
      await device.realize(...wanted);
      const got = await Promise.all(wanted.map(async (t: Tensor) => plain(await t.floats())));
      const [rising, falling] = [rows.map((r) => order(r, false)), rows.map((r) => order(r, true))];
      const values = (places: number[][]): number[] => places.flatMap((p, r) => p.map((i) => rows[r]![i]! + 0));
      const winner = (r: readonly number[], best: (...v: number[]) => number): number =>
        r.some(Number.isNaN) ? r.findIndex(Number.isNaN) : r.findIndex((v) => v + 0 === best(...r) + 0);
      const most = falling.map((p) => p.slice(0, 3));
      expect(got).toEqual([
        values(rising),
        rising.flat(),
        values(falling),
        falling.flat(),
        values(most),
        most.flat(),
        rows.map((r) => winner(r, Math.max)),
        rows.map((r) => winner(r, Math.min)),
        rows.map((r) => Math.max(...r) + 0),
        rows.map((r) => Math.min(...r) + 0),
      ]);
    },
  );

  it("a softmax row with a NaN is NaN, and its neighbours are not", async ({ skip }) => {
    if (device === undefined) return skip(reason ?? "no device");
    for (const at of [0, 3, LENGTH - 1]) {
      const data = Float64Array.from({ length: 3 * LENGTH }, (_, i) => Math.sin(i));
      data[LENGTH + at] = NaN;
      const x = device.tensor(data, [3, LENGTH], device.defaultFloat);
      const labels = device.tensor(Int32Array.of(0, 1, 2));
      const results = [
        ops.softmax(x, 1),
        ops.logSoftmax(x, 1),
        ops.expand(ops.logsumexp(x, 1, true), [3, LENGTH]),
        ops.expand(ops.unsqueeze(ops.crossEntropy(x, labels, { reduction: "none" }), 1), [3, LENGTH]),
      ];
      await device.realize(...results);
      for (const y of results) {
        const wrong = Array.from(await y.floats(), Number.isNaN);
        expect(wrong).toEqual(Array.from({ length: 3 * LENGTH }, (_, i) => Math.floor(i / LENGTH) === 1));
      }
    }
  });
});

it("amin shares its gradient among ties and orders integers without overflow", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const x = device.tensor([3, 1, 1, 2]);
  expect([...(await grad(ops.amin(x), [x])[0]!.floats())]).toEqual([0, 0.5, 0.5, 0]);
  for (const [array, least] of [
    [Int32Array.of(5, -(2 ** 31), 2 ** 31 - 1), -(2 ** 31)],
    [Uint32Array.of(4294967295, 7, 2147483648), 7],
    [Uint8Array.of(255, 3, 9), 3],
  ] as const) {
    expect(await ops.amin(device.tensor(array)).item()).toBe(least);
    expect(await ops.argmin(device.tensor(array)).item()).toBe(array.indexOf(least));
  }
  device.close();
});
