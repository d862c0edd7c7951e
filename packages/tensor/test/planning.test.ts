/** A device that only plans: the same bytes as one that computes, of models that no memory holds. */
import { describe, expect, it } from "vitest";
import { planningDevice } from "../src/backend.ts";
import { compile, grad, init, ops, type Device, type Tensor } from "../src/index.ts";

/** Loss and gradient step of two layers. */
function step(device: Device, width: number) {
  const weights = [0, 1].map(() => device.parameter(new Float32Array(width * width), [width, width]));
  return compile(device, ({ x }: Record<string, Tensor>) => {
    const hidden = weights.reduce((h, w) => ops.gelu(ops.matmul(h, w.value)), x!);
    const loss = ops.mean(ops.mul(hidden, hidden));
    const grads = grad(loss, weights);
    weights.forEach((w, i) => w.assign(ops.sub(w.value, ops.mul(grads[i]!, 0.1))));
    return { loss };
  });
}

describe("planningDevice", () => {
  it.each([1, 2])("plans what the device does, with %i threads", async (threads) => {
    const device = await init({ device: "wasm", threads });
    const planner = planningDevice(device);
    const spec = { x: { shape: [16, 96], dtype: "f32" } } as const;
    const [real, planned] = [step(device, 96), step(planner, 96)];
    const { arenaBytes, kernels } = planned.plan(spec);
    await real({ x: { data: new Float32Array(16 * 96), shape: [16, 96] } });
    expect([arenaBytes, kernels]).toEqual([real.info()[0]!.arenaBytes, real.info()[0]!.kernels]);
    const [wanted, got] = [device.memory(), planner.memory()];
    // small results of a run have buffers of their own
    expect([got.arena, got.scratch, got.persistent]).toEqual([wanted.arena, wanted.scratch, 2 * 4 * 96 * 96]);
    expect(got.scratch).toBeGreaterThan(0);
    device.close();
  });

  it("takes no memory, and computes nothing", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const planner = planningDevice(device);
    const before = device.memory().reserved;
    const large = planner.parameter(new Uint8Array(2 ** 30), [2 ** 30]);
    const another = planner.parameter(new Uint8Array(2 ** 30), [2 ** 30]);
    expect([planner.memory().persistent, device.memory().reserved]).toEqual([2 ** 31, before]);
    large.dispose();
    expect(planner.memory().persistent).toBe(2 ** 30);
    await expect(ops.sum(ops.cast(another.value, "f32")).item()).rejects.toThrow("this device only plans");
    expect([...(await planner.parameter([1, 2], [2]).data())]).toEqual([0, 0]);
    device.close();
  });

  it("needs a device that plans", async () => {
    const device = await init({ device: "reference" });
    expect(() => planningDevice(device)).toThrow(
      "planningDevice: the device reference makes no plans; give it another",
    );
    device.close();
  });
});
