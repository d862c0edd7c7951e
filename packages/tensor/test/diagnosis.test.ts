/** What a user sees when something is wrong, and where time goes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { init, ops, withScope, type Device } from "../src/index.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());
const x = (...shape: number[]) => device.full(shape, 1);

describe("errors name the op, the shapes and the fix", () => {
  it.each<[string, () => unknown, string]>([
    [
      "inner dimensions",
      () => ops.matmul(x(4, 3), x(5, 2)),
      "matmul: inner dimensions differ: [4, 3] · [5, 2] (3 ≠ 5)",
    ],
    ["broadcast", () => ops.add(x(2, 3), x(4)), "add: shapes do not broadcast: [2, 3] and [4] (4 ≠ 3 in dimension -1)"],
    ["dimension", () => ops.sum(x(2), 3), "sum: dimension 3 does not exist in a tensor of rank 1; use -1…0"],
    ["reshape", () => ops.reshape(x(2, 3), [4]), "reshape: [2, 3] has 6 elements, [4] does not"],
    ["labels", () => ops.crossEntropy(x(2, 3), x(2)), "crossEntropy: labels must be integers, got f32"],
    [
      "linear",
      () => ops.linear(x(2, 3), x(4, 5)),
      "linear: input [2, 3] does not fit weight [4, 5]: the last dimension must be 5",
    ],
    ["dtype", () => ops.exp(device.tensor(Int32Array.of(1))), "exp: needs a float tensor, got i32; cast it first"],
    ["condition", () => ops.where(x(2), 1, 0), "where: the condition must be bool, got f32; compare it with something"],
    ["embedding ids", () => ops.embedding(x(2, 3), x(2)), "embedding: ids must be integers, got f32"],
    ["values", () => device.tensor([1, 2, 3], [2]), "tensor: 3 values do not fill [2]"],
    ["ragged rows", () => device.tensor([[1, 2], [3]]), "tensor: rows have different lengths"],
    ["assignment", () => device.parameter([1, 2]).assign(x(3)), "assign: parameter [2] cannot hold [3]"],
  ])("%s", (_, body, message) => {
    expect(body).toThrow(message);
  });

  it("devices", async () => {
    await expect(init({ device: "cuda" as never })).rejects.toThrow(
      'init: "device" must be one of "wasm", "webgpu", "reference", "interpreter", got "cuda"',
    );
    await expect(init({ device: "wasm", threads: 0 })).rejects.toThrow(
      'init: "threads" must be a whole number from 1 to 16, got 0',
    );
    await expect(init({ backend: "wasm" } as never)).rejects.toThrow(
      'init: has an unknown key "backend"; did you mean "device"?',
    );
  });
});

describe("anomaly detection", () => {
  it("names the first operation and its module that made a value which is not finite", async () => {
    device.anomalyDetection = true;
    try {
      const bad = withScope("layer.3", () => withScope("output", () => ops.div(x(2), ops.sub(x(2), 1))));
      await expect(ops.sum(ops.mul(bad, 2)).item()).rejects.toThrow(
        /^div\[2\] in layer\.3\.output made the first non-finite value, Infinity at element 0$/,
      );
    } finally {
      device.anomalyDetection = false;
    }
  });

  it("has nothing against a masked softmax", async () => {
    device.anomalyDetection = true;
    try {
      const weights = ops.softmax(x(2, 3), -1, device.tensor(Uint8Array.of(1, 0, 1), [3], "bool"));
      expect([...(await weights.floats())]).toEqual([0.5, 0, 0.5, 0.5, 0, 0.5]);
    } finally {
      device.anomalyDetection = false;
    }
  });
});

it("a profile names kernels with their modules and writes a trace", async () => {
  const profile = await device.profile(() =>
    withScope("head", () =>
      ops.softmax(ops.matmul(device.tensor(new Float32Array(64).fill(1), [8, 8]), x(8, 8))),
    ).data(),
  );
  expect(profile.rows.map((r) => r.label).some((l) => l.startsWith("head "))).toBe(true);
  expect(profile.total).toBeGreaterThan(0);
  expect(profile.table()).toMatch(/ms in all$/);
  const { traceEvents } = JSON.parse(profile.chromeTrace()) as { traceEvents: { ph: string; dur: number }[] };
  expect(traceEvents.every((e) => e.ph === "X" && e.dur >= 0)).toBe(true);
});
