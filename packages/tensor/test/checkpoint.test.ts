/** Checkpoints that share weights, and checkpoints within checkpoints. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpoint, grad, init, ops, type Device, type Parameter, type Tensor } from "../src/index.ts";

describe.each([["wasm"], ["reference"]])("on %s", (name) => {
  let device: Device;
  let w: Parameter;
  beforeAll(async () => {
    device = await init({ device: name });
    w = device.parameter([0.7]);
  });
  afterAll(() => device.close());

  const body = (u: Tensor): Tensor => ops.sin(ops.mul(u, w.value));
  const gradient = async (y: Tensor): Promise<number> => (await grad(ops.sum(y), [w])[0]!.floats())[0]!;

  it("a weight of several checkpoints in a row gets each part of its gradient once", async () => {
    const stacked = (wrap: (x: Tensor) => Tensor): Tensor => {
      let y = device.tensor([0.5]);
      for (let i = 0; i < 6; i++) y = wrap(y);
      return y;
    };
    // d/dw by hand, through the six sines
    let [value, slope] = [0.5, 0];
    for (let i = 0; i < 6; i++) [value, slope] = [Math.sin(value * 0.7), Math.cos(value * 0.7) * (slope * 0.7 + value)];
    for (const y of [stacked(body), stacked((x) => checkpoint(body, [x]))])
      expect(Math.abs((await gradient(y)) - slope)).toBeLessThan(1e-6);
  });

  it("forty checkpoints within one another are what they hold", async () => {
    let calls = 0;
    const nest =
      (depth: number, wrap: boolean): ((u: Tensor) => Tensor) =>
      (u) => {
        calls++;
        const inner = depth === 0 ? ops.sin : nest(depth - 1, wrap);
        return wrap ? checkpoint(inner, [ops.mul(u, w.value)]) : inner(ops.mul(u, w.value));
      };
    const want = await gradient(nest(40, false)(device.tensor([0.5])));
    calls = 0;
    expect(await gradient(nest(40, true)(device.tensor([0.5])))).toBeCloseTo(want, 12);
    // forward once; then each body again for each that holds it
    expect(calls).toBeLessThanOrEqual((42 * 43) / 2);
  });
});
