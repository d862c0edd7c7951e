/** Anomaly detection looks on: the same bits with it and without, and a name for what went wrong. */
import { compile, grad, init, NumericsError, ops, withScope, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdamW, Dropout, Rngs, Linear, LossScaler, Module, SGD } from "../src/index.ts";

class Toy extends Module {
  first: Linear = new Linear(6, 8);
  drop: Dropout = new Dropout(0.3);
  second: Linear = new Linear(8, 3);
  forward(x: Tensor): Tensor {
    return this.second.forward(this.drop.forward(ops.softmax(this.first.forward(x))));
  }
}

const x = { data: Float32Array.from({ length: 30 }, (_, i) => Math.sin(i)), shape: [5, 6] };

describe.each(["wasm", "interpreter", "reference"] as const)("anomaly detection on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  async function train(
    detect: boolean,
    how: "compiled" | "eager",
    lr: number | ((step: number) => number) = 0.05,
  ): Promise<unknown> {
    const model = new Toy();
    await model.materialize({ device, seed: 3 });
    const keys = new Rngs(device, 7);
    model.train(keys);
    const optimizer = new AdamW(model.weights(), { lr });
    const update = (inputs: Record<string, Tensor>): { loss: Tensor } => {
      keys.restart();
      // a masked softmax: the −∞ in it is meant
      const mask = ops.gt(ops.iota(model.first.forward(inputs["x"]!), 0), 0);
      const weights = ops.softmax(model.forward(inputs["x"]!), -1, ops.slice(mask, 1, 0, 1));
      const loss = ops.mean(ops.square(ops.add(weights, model.forward(inputs["x"]!))));
      optimizer.step(grad(loss, optimizer.parameters));
      return { loss };
    };
    const compiled = compile(device, update);
    const losses: number[] = [];
    device.anomalyDetection = detect;
    try {
      for (let i = 0; i < 4; i++) {
        const { loss } = how === "compiled" ? await compiled({ x }) : update({ x: device.tensor(x.data, x.shape) });
        losses.push(await loss.item());
      }
    } finally {
      device.anomalyDetection = false;
    }
    const values = await Promise.all(
      [...model.weights().map((w) => w.parameter), ...optimizer.state().values()].map((p) => p.data()),
    );
    return { losses, values, steps: optimizer.steps, draws: keys.step };
  }

  it.each(["compiled", "eager"] as const)("gives the bits of a run without it, %s", async (how) => {
    expect(await train(true, how)).toEqual(await train(false, how));
  });

  it.each(["compiled", "eager"] as const)(
    "names operation, module and step before anything is changed, %s",
    async (how) => {
      const p = device.parameter([1, 1]);
      const update = ({ by }: Record<string, Tensor>): { y: Tensor } => {
        const y = withScope("layer.3", () => ops.div(1, ops.sub(p.value, by!)));
        p.assign(ops.sub(p.value, ops.mul(by!, 0.5)));
        return { y };
      };
      const compiled = compile(device, update);
      const step = async (by: number): Promise<unknown> =>
        how === "compiled"
          ? compiled({ by: { data: [by, by], shape: [2] } })
          : update({ by: device.tensor([by, by]) }).y.data();
      device.anomalyDetection = true;
      try {
        const before = /, in step (\d+)$/;
        const first = await step(1).then(
          () => "",
          (e: unknown) => (e as Error).message,
        );
        expect(first).toMatch(
          /^div\[2\] in layer\.3 made the first non-finite value, Infinity at element 0, in step \d+$/,
        );
        await step(0.5);
        await step(0.25);
        expect([...(await p.value.floats())]).toEqual([0.625, 0.625]);
        const later = await step(0.625).then(
          () => "",
          (e: unknown) => (e as Error).message,
        );
        expect(Number(before.exec(later)![1])).toBe(Number(before.exec(first)![1]) + 2);
        expect([...(await p.value.floats())]).toEqual([0.625, 0.625]);
      } finally {
        device.anomalyDetection = false;
      }
    },
  );

  it("names a schedule's number, and a parameter that was spoilt before", async () => {
    if (name !== "reference")
      await expect(train(true, "compiled", 1e300)).rejects.toThrow(
        /^a live value \[3\] in AdamW holds the first non-finite value, -Infinity at element 0, in step \d+$/,
      );
    else await expect(train(true, "compiled", 1e300)).rejects.toThrow(NumericsError);
    const [p, q] = [device.parameter([1, NaN]), device.parameter([1, 1])];
    const step = compile(device, () => {
      q.assign(ops.add(q.value, p.value));
      return {};
    });
    device.anomalyDetection = true;
    try {
      await expect(step({})).rejects.toThrow(
        /^a parameter \[2\] in \(top level\) holds the first non-finite value, NaN at element 1, in step \d+$/,
      );
    } finally {
      device.anomalyDetection = false;
    }
    expect([...(await q.value.floats())]).toEqual([1, 1]);
  });

  it("leaves steps that loss scaling skips alone, and names what no scale can help", async () => {
    const layer = new Linear(2, 2);
    await layer.materialize({ device });
    const optimizer = new SGD(layer.weights(), { lr: 0.1 });
    // on f64 nothing overflows at 65536
    const scaler = new LossScaler({ initScale: name === "reference" ? 2 ** 127 : 2 ** 100, backoffFactor: 2 ** -60 });
    const step = compile(device, ({ a }) => {
      const loss = ops.mul(ops.mean(ops.square(layer.forward(a!))), name === "reference" ? 1e280 : 1e25);
      const { grads, finite } = scaler.unscale(grad(scaler.scaleLoss(loss), optimizer.parameters));
      optimizer.step(grads, finite);
      return { loss, finite };
    });
    device.anomalyDetection = true;
    try {
      const a = { data: [1, 2], shape: [1, 2] };
      expect(await (await step({ a })).finite.item()).toBe(0);
      optimizer.revoke();
      scaler.update(false, 1);
      // 2^100 · 2^-60 fits; the next step down would be below the least scale
      const { finite } = await step({ a });
      expect(await finite.item()).toBe(1);
      // a loss that is not finite by itself is nothing that a scale could mend
      const far = name === "reference" ? 1e200 : 1e30;
      await expect(step({ a: { data: [far, far], shape: [1, 2] } })).rejects.toThrow(
        /^matmul\[1, 2\] in \(top level\) made the first non-finite value, -?Infinity at element 0/,
      );
    } finally {
      device.anomalyDetection = false;
    }
  });
});
