/** Constants: copied to the device once, whatever reads them, and known to everything that looks at leaves. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, grad, init, ops, type Device, type DeviceName, type Tensor } from "../src/index.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";

const DEVICES: readonly DeviceName[] = ["wasm", "webgpu", "interpreter", "reference"];
const noGpu = await swiftShaderAvailable();
const SIZE = 1000;

describe.for(DEVICES)("on %s", (name) => {
  if (name === "webgpu" && noGpu !== undefined) return it.skip(noGpu);
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name });
  });
  afterAll(() => {
    device.close();
  });
  const table = (scale = 1): Tensor =>
    device.constant(Float64Array.from({ length: SIZE }, (_, i) => scale * Math.cos(i)));
  const input = (value: number): { data: Float32Array; shape: number[]; dtype: "f32" } => ({
    data: Float32Array.of(value),
    shape: [1],
    dtype: "f32",
  });

  it("is copied once for all plans and all tensors of the same values", async () => {
    const bytes = (await table().data()).byteLength;
    const first = compile(device, ({ x }) => ({ y: ops.mul(table(), ops.cast(x!, device.defaultFloat)) }));
    const second = compile(device, ({ x }) => ({ y: ops.sum(ops.add(table(), ops.cast(x!, device.defaultFloat))) }));
    const uploads: number[] = [];
    const kept: Tensor[] = [];
    for (const step of [first, first, second, first]) {
      const profile = await device.profile(async () => kept.push((await step({ x: input(2) })).y));
      uploads.push(profile.uploadedBytes);
    }
    expect(uploads).toEqual([bytes + 4, 4, 4, 4]);
    expect(await kept[3]!.floats()).toEqual(await ops.mul(table(), 2).floats());
  });

  it("is another one where dtype, shape or a single bit differ", async () => {
    const bits = (x: Tensor): Promise<number> =>
      device.profile(() => device.realize(ops.mul(x, 1.5))).then((p) => p.uploadedBytes);
    const values = Float32Array.from({ length: 64 }, (_, i) => i - 300);
    const zero = values.with(3, 0);
    const minus = values.with(3, -0);
    const made = [
      device.constant(zero, [64], "f32"),
      device.constant(zero, [8, 8], "f32"),
      device.constant(zero, [64], "bf16"),
      device.constant(minus, [64], "f32"),
    ];
    for (const x of made) expect(await bits(x)).toBeGreaterThan(0);
    for (const x of [...made, device.constant(zero, [64], "f32")]) expect(await bits(x)).toBe(0);
    expect(Object.is((await made[3]!.floats())[3], -0)).toBe(true);
    expect(await made[2]!.floats()).toEqual(await device.tensor(zero, [64], "bf16").floats());
  });

  it("keeps its values when the caller's array changes", async () => {
    const values = device.defaultFloat === "f64" ? Float64Array.of(1, 2, 3) : Float32Array.of(1, 2, 3);
    const x = device.constant(values);
    values[0] = 7;
    expect(await ops.add(x, 0.5).floats()).toEqual(Float64Array.of(1.5, 2.5, 3.5));
    (await x.data())[1] = 9;
    expect(await ops.add(x, 1).floats()).toEqual(Float64Array.of(2, 3, 4));
  });

  it("has gradients, may be a result and may be assigned", async () => {
    const x = table();
    const [g] = grad(ops.sum(ops.square(x)), [x]);
    expect(await g!.floats()).toEqual(await ops.mul(x, 2).floats());
    const held = device.parameter(new Float32Array(SIZE), [SIZE], device.defaultFloat);
    const step = compile(device, () => {
      held.assign(table());
      return { same: table() };
    });
    const { same } = await step({});
    expect(await same.floats()).toEqual(await table().floats());
    expect(await held.value.floats()).toEqual(await table().floats());
  });

  it("is looked at for indices that hit nothing", async () => {
    const look = (...ids: number[]): Promise<unknown> =>
      ops.gatherRows(table(), device.constant(Int32Array.from(ids))).data();
    await look(0, SIZE - 1);
    await expect(look(0, SIZE)).rejects.toThrow(
      `gatherRows: id ${SIZE} in row 1 of a constant tensor [2] lies outside [0, ${SIZE})`,
    );
  });

  it("is seen by anomaly detection and by the trace of dtypes", async () => {
    const held = device.parameter([1, 1], [2], "f32");
    const bad = compile(device, () => {
      held.assign(ops.cast(ops.add(held.value, device.constant([1, Infinity], [2], "f32")), "f32"));
      return {};
    });
    device.anomalyDetection = true;
    try {
      await expect(bad({})).rejects.toThrow("a constant value [2] in (top level) holds the first non-finite value");
      const good = compile(device, () => ({ y: ops.sum(table()) }));
      expect(Number.isFinite(await (await good({})).y.item())).toBe(true);
    } finally {
      device.anomalyDetection = false;
    }
    const product = compile(device, ({ x }) => ({
      y: ops.matmul(x!, ops.cast(device.constant(new Float32Array(6), [2, 3], "bf16"), "f32")),
    }));
    const { dtypes } = product.plan({ x: { shape: [4, 2], dtype: "f32" } });
    expect(dtypes.storage).toEqual({ bf16: 12 });
    expect(dtypes.products[0]!.stored).toEqual([undefined, "bf16"]);
  });

  it("is frozen by a capture, so that another one at the second call is refused", async () => {
    let scale = 1;
    const step = compile(device, () => ({ y: ops.sum(table(scale)) }));
    await step({});
    scale = 2;
    await expect(step({})).rejects.toThrow(
      `the function read another constant [${SIZE}] the second time, and the first would have been frozen`,
    );
  });
});
