/** Dynamic loss scaling against torch's trace, a ten-line model, and training without it. */
import { readFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { compile, init, NumericsError, ops, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdamW, clipGradNorm, grad, LossScaler, SGD, Weight } from "../src/index.ts";

const folder = process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures");
const trace = join(folder, "peft/gradscaler_trace.json");

function weightOn(device: Device, values: Float32Array, name = "w"): Weight {
  const weight = new Weight([values.length], { kind: "zeros" });
  weight.parameter = device.parameter(values, [values.length], device.defaultFloat);
  weight.name = name;
  return weight;
}

describe.each(["wasm", "reference"] as const)("on %s", (deviceName) => {
  it.skipIf(!existsSync(trace))("torch's trace is reproduced, scale, tracker and parameter", async () => {
    const golden = JSON.parse(readFileSync(trace, "utf8")) as {
      init_scale: number;
      growth_factor: number;
      backoff_factor: number;
      growth_interval: number;
      steps: { raw_grad: string; param: number; scale: number; tracker: number }[];
    };
    const device = await init({ device: deviceName, threads: 1 });
    const p = weightOn(device, Float32Array.of(1));
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new LossScaler({
      initScale: golden.init_scale,
      growthFactor: golden.growth_factor,
      backoffFactor: golden.backoff_factor,
      growthInterval: golden.growth_interval,
    });
    const step = compile(device, ({ slope }) => {
      const loss = scaler.scaleLoss(ops.sum(ops.mul(p.value, slope!)));
      const { grads, finite } = scaler.unscale(grad(loss, optimizer.parameters));
      optimizer.step(grads, finite);
      return { finite };
    });
    for (const { raw_grad: raw, param, scale, tracker } of golden.steps) {
      const out = await step({
        slope: { data: Float32Array.of(raw === "nan" ? NaN : Number(raw.replace("inf", "Infinity"))), shape: [1] },
      });
      scaler.update((await out.finite.item()) !== 0, 0);
      expect({ param: (await p.parameter.data())[0], ...scaler.state }).toEqual({ param, scale, tracker });
    }
    device.close();
  });

  it("S1: with a power-of-two scale, training is what it is without, bit by bit", async () => {
    const run = async (scaled: boolean): Promise<number[]> => {
      const device = await init({ device: deviceName, threads: 1 });
      const w = weightOn(
        device,
        Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      );
      const optimizer = new AdamW([w], { lr: 1e-2 });
      const scaler = new LossScaler({ initScale: 1024, growthInterval: 3 });
      const step = compile(device, ({ x }) => {
        const loss = ops.mean(ops.square(ops.sub(ops.tanh(ops.mul(w.value, x!)), 0.3)));
        if (!scaled) {
          optimizer.step(clipGradNorm(grad(loss, optimizer.parameters), 0.1).grads);
          return { finite: ops.isfinite(loss) };
        }
        const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
        optimizer.step(clipGradNorm(grads, 0.1).grads, finite);
        return { finite };
      });
      for (let i = 0; i < 12; i++) {
        const { finite } = await step({
          x: { data: Float32Array.from({ length: 24 }, (_, k) => Math.cos(k + i)), shape: [24] },
        });
        scaler.update((await finite.item()) !== 0, 0);
      }
      const out = [...(await w.parameter.data())];
      device.close();
      return out;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("S3: a step with one non-finite gradient changes no weight, no moment and no count", async () => {
    const device = await init({ device: deviceName, threads: 1 });
    const weights = [weightOn(device, Float32Array.of(1, 2), "a"), weightOn(device, Float32Array.of(3), "b")];
    const optimizer = new AdamW(weights, { lr: 0.1 });
    const scaler = new LossScaler({ initScale: 8 });
    const step = compile(device, ({ x }) => {
      const loss = ops.add(
        ops.sum(ops.mul(weights[0]!.value, ops.slice(x!, 0, 0, 2))),
        ops.sum(ops.mul(weights[1]!.value, ops.slice(x!, 0, 2, 3))),
      );
      const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
      optimizer.step(grads, finite);
      return { finite };
    });
    const state = async (): Promise<unknown> => ({
      steps: optimizer.steps,
      values: await Promise.all(
        [...weights.map((w) => w.parameter), ...optimizer.state().values()].map(async (p) => [...(await p.data())]),
      ),
    });
    const feed = async (...x: number[]): Promise<void> => {
      const { finite } = await step({ x: { data: Float32Array.from(x), shape: [3] } });
      const ok = (await finite.item()) !== 0;
      if (!ok) optimizer.revoke();
      scaler.update(ok, 0);
    };
    await feed(1, 2, 3);
    const before = await state();
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 1, 2]) {
        const x = [1, 2, 3];
        x[at] = bad;
        await feed(...x);
        expect(await state()).toEqual(before);
      }
    }
    // S5: the schedule and the bias corrections go on where they were
    await feed(1, 2, 3);
    expect(optimizer.steps).toBe(2);
    expect(scaler.skipped).toBe(9);
    device.close();
  });
});

it("S2, S4: the state machine is the reference's, and the scale stays a finite power of two", () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { maxLength: 200 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 0, max: 127 }),
      (finite, interval, power) => {
        const scaler = new LossScaler({ initScale: 2 ** power, growthInterval: interval });
        let [scale, tracker] = [2 ** power, 0];
        for (const ok of finite) {
          if (!ok && scale / 2 < 2 ** -24) {
            expect(() => scaler.update(ok, 0)).toThrow(NumericsError);
            return;
          }
          scaler.update(ok, 0);
          tracker = ok ? tracker + 1 : 0;
          if (!ok) scale /= 2;
          else if (tracker === interval) {
            tracker = 0;
            if (scale * 2 <= 2 ** 127) scale *= 2;
          }
          expect(scaler.state).toEqual({ scale, tracker });
          expect(Number.isInteger(Math.log2(scaler.scale))).toBe(true);
        }
      },
    ),
  );
});

it("half-precision gradients are refused", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  expect(() => new LossScaler().unscale([device.tensor([1], [1], "f16")])).toThrow("gradient 0 is f16");
  device.close();
});

it("a loss that is not finite is reported: no scale can mend it", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const w = weightOn(device, Float32Array.of(1, 2, 3));
  const optimizer = new SGD([w], { lr: 1 });
  const scaler = new LossScaler();
  // a label that the device computes: 2 + 1 is no class
  const label = ops.add(device.tensor(Int32Array.of(2)), 1);
  const loss = ops.crossEntropy(ops.reshape(w.value, [1, 3]), label);
  const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
  optimizer.step(grads, finite);
  await device.realize(loss, finite);
  const [ok, value] = [(await finite.item()) !== 0, await loss.item()];
  expect([ok, value]).toEqual([false, NaN]);
  expect([...(await w.parameter.data())]).toEqual([1, 2, 3]);
  expect(() => scaler.update(ok, value)).toThrow(/loss itself is NaN/);
  expect(scaler.scale).toBe(65536);
  device.close();
});
