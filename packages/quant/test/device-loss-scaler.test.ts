/** The loss scaler with its state on the device: a ten-line model of torch's, training without it, and what a skipped step leaves alone. */
import { AdamW, clipGradNorm, Weight } from "@lowrank/nn";
import { compile, grad, init, ops, type Compiled, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeviceLossScaler } from "../src/index.ts";

function weightOn(device: Device, values: Float32Array, name = "w"): Weight {
  const weight = new Weight([values.length], { kind: "zeros" });
  weight.parameter = device.parameter(values, [values.length], device.defaultFloat);
  weight.name = name;
  return weight;
}

describe.each(["wasm", "reference"] as const)("on %s", (name) => {
  it("S1: with a power-of-two scale, training is what it is without, bit by bit", async () => {
    const run = async (scaled: boolean): Promise<number[]> => {
      const device = await init({ device: name, threads: 1 });
      const w = weightOn(device, Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)));
      const optimizer = new AdamW([w], { lr: 1e-2 });
      const scaler = new DeviceLossScaler(device, { initScale: 1024, growthInterval: 3 });
      const step = compile(device, ({ x }) => {
        const loss = ops.mean(ops.square(ops.sub(ops.tanh(ops.mul(w.value, x!)), 0.3)));
        if (!scaled) {
          optimizer.step(clipGradNorm(grad(loss, optimizer.parameters), 0.1).grads);
          return { loss };
        }
        const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
        optimizer.step(clipGradNorm(grads, 0.1).grads, finite);
        scaler.update(finite);
        return { loss };
      });
      for (let i = 0; i < 12; i++) await step({ x: { data: Float32Array.from({ length: 24 }, (_, k) => Math.cos(k + i)), shape: [24] } });
      if (scaled) expect(await scaler.read()).toEqual({ scale: 1024 * 2 ** 4, tracker: 0, skipped: 0 });
      const out = [...(await w.parameter.data())];
      device.close();
      return out;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("S3: a step with a non-finite gradient changes no weight and no moment, whichever gradient it is", async () => {
    const device = await init({ device: name, threads: 1 });
    const weights = [weightOn(device, Float32Array.of(1, 2), "a"), weightOn(device, Float32Array.of(3), "b")];
    const optimizer = new AdamW(weights, { lr: 0.1 });
    const scaler = new DeviceLossScaler(device, { initScale: 8 });
    const step = compile(device, ({ x }) => {
      const loss = ops.add(ops.sum(ops.mul(weights[0]!.value, ops.slice(x!, 0, 0, 2))), ops.sum(ops.mul(weights[1]!.value, ops.slice(x!, 0, 2, 3))));
      const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
      optimizer.step(grads, finite);
      scaler.update(finite);
      return { finite };
    });
    const state = async (): Promise<unknown> => Promise.all([...weights.map((w) => w.parameter), ...optimizer.state().values()].map(async (p) => [...(await p.data())]));
    const feed = async (x: number[]): Promise<boolean> => (await (await step({ x: { data: Float32Array.from(x), shape: [3] } })).finite.item()) !== 0;
    expect(await feed([1, 2, 3])).toBe(true);
    const before = await state();
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 1, 2]) {
        expect(await feed([1, 2, 3].map((v, i) => (i === at ? bad : v)))).toBe(false);
        expect(await state()).toEqual(before);
      }
    }
    expect(await scaler.read()).toEqual({ scale: 8 * 2 ** -9, tracker: 0, skipped: 9 });
    device.close();
  });

  it("S2, S4: the state machine is the reference's, and the scale stays a finite power of two", async () => {
    const device = await init({ device: name, threads: 1 });
    const machines = new Map<number, [DeviceLossScaler, Compiled<{ ok: Tensor }>]>();
    const machine = (growthInterval: number): [DeviceLossScaler, Compiled<{ ok: Tensor }>] => {
      const scaler = new DeviceLossScaler(device, { growthInterval });
      const made: [DeviceLossScaler, Compiled<{ ok: Tensor }>] = [scaler, compile(device, ({ ok }) => {
        scaler.update(ops.cast(ok!, "bool"));
        return { ok: ok! };
      })];
      machines.set(growthInterval, made);
      return made;
    };
    await fc.assert(fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 20, max: 127 }), async (outcomes, interval, power) => {
      const [scaler, step] = machines.get(interval) ?? machine(interval);
      let [scale, tracker, skipped] = [2 ** power, 0, 0];
      scaler.restore({ scale, tracker });
      for (const ok of outcomes) {
        await step({ ok: { data: Int32Array.of(Number(ok)), shape: [] } });
        tracker = ok ? tracker + 1 : 0;
        skipped += Number(!ok);
        if (!ok) scale /= 2;
        else if (tracker === interval) {
          tracker = 0;
          if (scale * 2 <= 2 ** 127) scale *= 2;
        }
        expect(await scaler.read()).toEqual({ scale, tracker, skipped });
      }
    }), { numRuns: 30 });
    device.close();
  });

  it("a scale that would overflow stays, and a failing step due to grow shrinks", async () => {
    const device = await init({ device: name, threads: 1 });
    const scaler = new DeviceLossScaler(device, { growthInterval: 1 });
    const after = async (scale: number, ok: number): Promise<number> => {
      scaler.restore({ scale, tracker: 0 });
      scaler.update(device.tensor([ok], [1], "bool"));
      await device.realize();
      return (await scaler.read()).scale;
    };
    expect([await after(2 ** 127, 1), await after(2 ** 126, 1), await after(2 ** 127, 0)]).toEqual([2 ** 127, 2 ** 127, 2 ** 126]);
    device.close();
  });

  it("a scale at its end is an error, as are half-precision gradients", async () => {
    const device = await init({ device: name, threads: 1 });
    const scaler = new DeviceLossScaler(device, { initScale: 2 ** -22 });
    for (let i = 0; i < 5; i++) {
      scaler.update(device.tensor([0], [1], "bool"));
      await device.realize();
    }
    await expect(scaler.read()).rejects.toThrow("the scale fell to");
    expect(() => scaler.unscale([device.tensor([1], [1], "f16")])).toThrow("gradient 0 is f16");
    device.close();
  });
});
