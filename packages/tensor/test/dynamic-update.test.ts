/** Writing at a position that is a value: the same on every device, in place where it is assigned, one plan for all positions. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, grad, init, ops, type Device, type DType, type Tensor } from "../src/index.ts";
import { wasmTarget } from "../src/backends/wasm/target.ts";
import { buildProgram } from "../src/graph/program.ts";
import type { LoopKernel } from "../src/ir/kernel.ts";
import { buildPlan } from "../src/plan/build-plan.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";

const devices: Device[] = [];
let device: Device;
beforeAll(async () => {
  for (const name of ["wasm", "interpreter", "reference"] as const) devices.push(await init({ device: name }));
  devices.push(await init({ device: "wasm", threads: 1, fusion: false }));
  if ((await swiftShaderAvailable()) === undefined) devices.push(await init({ device: "webgpu" }));
  device = devices[0]!;
});
afterAll(() => {
  for (const each of devices) each.close();
});

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const iota = (shape: readonly number[], from: number): Float32Array =>
  Float32Array.from({ length: count(shape) }, (_, i) => from + (i % 200));

/** Plain loops over coordinates. */
function want(
  x: Float32Array,
  shape: readonly number[],
  block: Float32Array,
  length: number,
  at: number,
  dim: number,
): number[] {
  const inner = count(shape.slice(dim + 1));
  const size = shape[dim]!;
  return Array.from(x, (old, i) => {
    const here = Math.floor(i / inner) % size;
    if (at < 0 || at + length > size || here < at || here >= at + length) return old;
    const outer = Math.floor(i / (inner * size));
    return block[(outer * length + here - at) * inner + (i % inner)]!;
  });
}

const cases = fc
  .record({
    shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
    pick: fc.nat(),
    share: fc.nat(),
    start: fc.nat(),
    dtype: fc.constantFrom<DType>("f32", "f16", "i32", "u8"),
  })
  .map(({ shape, pick, share, start, dtype }) => {
    const dim = pick % shape.length;
    const length = 1 + (share % shape[dim]!);
    const at = start % (shape[dim]! - length + 1);
    return { shape, dim, length, at, dtype, piece: shape.with(dim, length) };
  });

test.prop([cases, fc.integer({ min: 0, max: 4 })], { numRuns: 150 })(
  "assigned, read in the same step, and as a tensor of its own: the same as plain loops",
  async ({ shape, dim, length, at, dtype, piece }, which) => {
    const on = devices[which % devices.length]!;
    const [x, block] = [iota(shape, 0), iota(piece, 7)];
    const expected = want(x, shape, block, length, at, dim);
    const held = on.parameter(x, shape, dtype);
    const step = compile(on, ({ rows, place }) => {
      const fresh = ops.cast(ops.add(rows!, 0), dtype);
      const apart = ops.dynamicUpdate(held.value, fresh, place!, dim);
      held.assignRows(place!, fresh, dim);
      return {
        apart: ops.cast(apart, "f32"),
        after: ops.add(ops.cast(held.value, "f32"), 1),
      };
    });
    const inputs = {
      rows: { data: block, shape: piece, dtype: "f32" as const },
      place: { data: Int32Array.of(at), shape: [1] },
    };
    const { apart, after } = await step(inputs);
    expect([...(await apart.floats())]).toEqual(expected);
    expect([...(await after.floats())]).toEqual(expected.map((v) => v + 1));
    expect([...(await held.value.floats())]).toEqual(expected);
    held.dispose();
  },
);

describe("a cache that fills up token by token", () => {
  const [batch, heads, places, width] = [2, 3, 4096, 16];
  const shape = [batch, heads, places, width];

  it("is written in place: no copy, one plan, and only the block is worked on", async () => {
    const on = await init({ device: "wasm", threads: 1 });
    const cache = on.parameter(new Float32Array(count(shape)), shape, "f32");
    const step = compile(on, ({ token, place }) => {
      cache.assignRows(place!, ops.mul(token!, 2), 2);
      return {};
    });
    const token = { data: new Float32Array(batch * heads * width).fill(1), shape: [batch, heads, 1, width] };
    const before = on.memory();
    const uploads: number[] = [];
    for (const at of [0, 17, places - 1, 5, 4000]) {
      const profile = await on.profile(() => step({ token, place: { data: Int32Array.of(at), shape: [] } }));
      expect(profile.rows.map((row) => row.calls)).toEqual([1]);
      uploads.push(profile.uploadedBytes);
    }
    expect(new Set(uploads)).toEqual(new Set([4 * (batch * heads * width + 1)]));
    const info = step.info();
    expect(info).toHaveLength(1);
    expect([info[0]!.kernels, info[0]!.steps]).toEqual([1, 1]);
    // the inputs, each to its alignment; the cache has 1.5 MiB
    expect(info[0]!.arenaBytes).toBeLessThanOrEqual(4096);
    expect(on.memory().persistent).toBe(before.persistent);
    const values = await cache.value.floats();
    for (const [at, wanted] of [
      [0, 2],
      [17, 2],
      [18, 0],
      [4000, 2],
      [places - 1, 2],
    ])
      expect(values[at! * width]).toBe(wanted);
    on.close();
  });

  it("is iterated over the block alone where it is assigned, else over the whole", () => {
    const cache = device.parameter(new Float32Array(count(shape)), shape, "f32");
    const other = device.parameter(new Float32Array(count(shape)), shape, "f32");
    const block = device.full([batch, heads, 1, width], 3);
    const value = ops.dynamicUpdate(cache.value, block, device.tensor([9], [1], "i32"), 2).node;
    const points = (cell: typeof cache.cell): number[] => {
      const program = buildProgram([], [{ cell, value }]);
      const { kernels } = buildPlan(program, { fusion: true, target: wasmTarget({ fma: false }), templates: [] });
      return kernels.map((kernel) => count((kernel as LoopKernel).outer));
    };
    expect(points(cache.cell)).toEqual([batch * heads * width]);
    expect(points(other.cell)).toEqual([count(shape)]);
  });
});

describe("a position at which the block does not fit", () => {
  it.each([-1, 5, 1 << 20])("%d is an error before the run where the host knows it", async (at) => {
    const held = device.parameter(new Float32Array(12), [6, 2], "f32");
    const step = compile(device, ({ place }) => {
      held.assignRows(place!, device.full([2, 2], 1));
      return {};
    });
    await expect(step({ place: { data: Int32Array.of(at), shape: [1] } })).rejects.toThrow(
      `dynamicUpdate: position ${at} in row 0 of input "place" lies outside [0, 5)`,
    );
    expect([...(await held.value.floats())]).toEqual(new Array(12).fill(0));
    await step({ place: { data: Int32Array.of(4), shape: [1] } });
    expect([...(await held.value.floats())]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it("writes nothing where a device computed it", async () => {
    for (const on of devices)
      for (const at of [-1, 5, 100, -(2 ** 30)]) {
        const held = on.parameter(iota([6, 2], 1), [6, 2], "f32");
        const place = ops.sub(on.tensor([at + 1], [1], "i32"), 1);
        const apart = ops.dynamicUpdate(held.value, on.full([2, 2], 9, "f32"), place);
        held.assignRows(place, on.full([2, 2], 9, "f32"));
        await on.realize(apart);
        expect([...(await held.value.floats())], on.name).toEqual([...iota([6, 2], 1)]);
        expect([...(await apart.floats())], on.name).toEqual([...iota([6, 2], 1)]);
      }
  });

  it.each([-1, 4, 5, 100, 2 ** 31 - 1, -(2 ** 31)])(
    "%d gives the block no gradient, and x all of it, where a device computed it",
    async (at) => {
      for (const on of devices) {
        const x = on.parameter(iota([5], 1), [5], "f32");
        const block = on.parameter(iota([2], 10), [2], "f32");
        const place = ops.add(on.tensor([at], [1], "i32"), on.tensor([0], [1], "i32"));
        const y = ops.dynamicUpdate(ops.square(x.value), ops.square(block.value), place);
        const loss = ops.sum(ops.mul(ops.square(y), on.tensor(iota([5], 1), [5], "f32")));
        const [gx, gb] = grad(loss, [x, block]);
        // Σ i·i⁴, so 4i·i³; and once more by i
        const [hx, hb] = grad(ops.add(ops.sum(gx!), ops.sum(gb!)), [x, block]);
        await on.realize(gx!, gb!, hx!, hb!);
        expect([...(await gx!.floats())], on.name).toEqual([4, 64, 324, 1024, 2500]);
        expect([...(await gb!.floats())], on.name).toEqual([0, 0]);
        expect([...(await hx!.floats())], on.name).toEqual([12, 96, 324, 768, 1500]);
        expect([...(await hb!.floats())], on.name).toEqual([0, 0]);
      }
    },
  );

  it("is refused by shape, dtype and rank", () => {
    const x = device.full([6, 2], 0);
    const at = device.tensor([0], [1], "i32");
    const cases: [() => Tensor, string][] = [
      [() => ops.dynamicUpdate(x, device.full([7, 2], 0), at), "block [7, 2] does not fit [6, 2] along dimension 0"],
      [() => ops.dynamicUpdate(x, device.full([2, 1], 0), at), "does not fit"],
      [() => ops.dynamicUpdate(x, device.full([2], 0), at), "does not fit"],
      [() => ops.dynamicUpdate(x, device.full([2, 2], 0, "f16"), at), "block is f16, x is f32; cast it first"],
      [() => ops.dynamicUpdate(x, device.full([2, 2], 0), device.tensor([0, 1], [2], "i32")), "one number, [] or [1]"],
      [() => ops.dynamicUpdate(x, device.full([2, 2], 0), device.full([1], 0)), "must be integers"],
    ];
    for (const [build, message] of cases) expect(build).toThrow(message);
  });
});

it("the gradient of the block is what came at its place, that of the rest what came elsewhere", async () => {
  for (const on of devices) {
    const x = on.tensor(iota([5, 2], 0), [5, 2], "f32");
    const block = on.tensor(iota([2, 2], 50), [2, 2], "f32");
    const y = ops.dynamicUpdate(x, block, on.tensor([2], [], "i32"));
    const weights = on.tensor(iota([5, 2], 1), [5, 2], "f32");
    const [gx, gb] = grad(ops.sum(ops.mul(y, weights)), [x, block]);
    expect([...(await gx!.floats())]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 9, 10]);
    expect([...(await gb!.floats())]).toEqual([5, 6, 7, 8]);
  }
});

it("two updates, or one that reads the old rows elsewhere, are right too", async () => {
  for (const on of devices) {
    const held = on.parameter(iota([6], 0), [6], "f32");
    const place = (at: number): Tensor => on.tensor([at], [1], "i32");
    // moved up by one: reads what it overwrites
    held.assignRows(place(1), ops.slice(held.value, 0, 0, 3));
    await on.realize();
    expect([...(await held.value.floats())], on.name).toEqual([0, 0, 1, 2, 4, 5]);
    const old = ops.mul(held.value, 10);
    held.assignRows(place(0), on.full([1], 7, "f32"));
    held.assignRows(place(5), on.full([1], 8, "f32"));
    await on.realize(old);
    expect([...(await held.value.floats())], on.name).toEqual([7, 0, 1, 2, 4, 8]);
    expect([...(await old.floats())], on.name).toEqual([0, 0, 10, 20, 40, 50]);
  }
});
