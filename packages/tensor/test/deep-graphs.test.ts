/** Graphs far deeper than a call stack, and graphs in which everything is used twice: no walk may call itself per node, or visit one twice. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpoint, compile, grad, init, ops, type Device, type DeviceName, type Tensor } from "../src/index.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";

const DEVICES: readonly DeviceName[] = ["reference", "interpreter", "wasm", "webgpu"];
const noGpu = await swiftShaderAvailable();
/** Where V8's default stack of about a megabyte ends long before, at a few hundred bytes a call. */
const DEEP = 4000;
const DEEPER = 20_000;

function times(n: number, x: Tensor, step: (x: Tensor) => Tensor): Tensor {
  let y = x;
  for (let i = 0; i < n; i++) y = step(y);
  return y;
}

/** Every step moves towards 0.1 by a thousandth of the way, so that n steps leave (1 − 0.001)ⁿ of the distance. */
const approach = (x: Tensor): Tensor => ops.add(ops.mul(x, 0.999), 0.0001);
const left = (n: number): number => 0.999 ** n;

describe.for(DEVICES)("on %s", (name) => {
  if (name === "webgpu" && noGpu !== undefined) return it.skip(noGpu);
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, ...(name === "wasm" ? { threads: 1 } : {}) });
  });
  afterAll(() => {
    device.close();
  });
  /** One rounding a step, each of which later steps shrink: at most u·0.11/0.001 for values near 0.1 once the start is forgotten. */
  const close = (got: number, want: number): void => expect(Math.abs(got - want)).toBeLessThan(2e-5);

  it(`computes ${DEEP / 2} and ${DEEPER / 2} fused pairs of operations`, async () => {
    for (const n of [DEEP / 2, DEEPER / 2]) {
      const y = times(n, device.tensor([0.6, 0.1]), approach);
      const [a, b] = await y.floats();
      close(a!, 0.1 + 0.5 * left(n));
      close(b!, 0.1);
    }
  });

  it("differentiates them, twice", async () => {
    const n = DEEP / 2;
    const x = device.tensor([0.6, 0.1]);
    const y = times(n, x, approach);
    // d/dx Σ y² = 2 y y′, and y″ = 0
    const [slope] = grad(ops.sum(ops.square(y)), [x]) as [Tensor];
    const [curvature] = grad(ops.sum(slope), [x]) as [Tensor];
    const [slopes, curvatures] = [await slope.floats(), await curvature.floats()];
    close(slopes[0]!, 2 * (0.1 + 0.5 * left(n)) * left(n));
    close(curvatures[0]!, 2 * left(n) ** 2);
  });

  it("computes them behind a product and before one, and their gradients", async () => {
    const n = DEEP / 2;
    const x = device.tensor([0.6, 0.1], [1, 2]);
    const one = device.tensor([1, 0, 0, 1], [2, 2]);
    const y = ops.matmul(times(n, ops.matmul(x, one), approach), one);
    const [slope] = grad(ops.sum(y), [x]) as [Tensor];
    close((await y.floats())[0]!, 0.1 + 0.5 * left(n));
    close((await slope.floats())[0]!, left(n));
  });

  it("looks through long rows of views", async () => {
    const x = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const turned = times(DEEP, x, (v) => ops.transpose(v));
    const squares = ops.matmul(turned, ops.transpose(turned));
    expect([...(await turned.floats())]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(await squares.floats())]).toEqual([14, 32, 32, 77]);
  });

  // a walk that visits what it has seen needs 2²⁰⁰ steps
  describe("visits a node once where it is used twice", () => {
    const half = (x: Tensor): Tensor => ops.mul(ops.add(x, x), 0.5);

    it("in a kernel and its gradients", async () => {
      const x = device.tensor([3, 4]);
      const y = times(200, x, half);
      const [slope] = grad(ops.sum(ops.square(y)), [x]) as [Tensor];
      const [curvature] = grad(ops.sum(slope), [x]) as [Tensor];
      expect([...(await slope.floats())]).toEqual([6, 8]);
      expect([...(await curvature.floats())]).toEqual([2, 2]);
    });

    it("in operands that a product computes while it packs them", async () => {
      const codes = device.parameter(Uint8Array.of(1, 2, 3, 4), [2, 2], "u8");
      const step = compile(device, ({ x }) => ({
        short: ops.matmul(x!, times(20, ops.cast(codes.value, x!.dtype), half)),
        long: ops.matmul(x!, times(200, ops.cast(codes.value, x!.dtype), half)),
      }));
      const { short, long } = await step({ x: { data: [1, 1], shape: [1, 2], dtype: device.defaultFloat } });
      expect([...(await short.floats())]).toEqual([4, 6]);
      expect([...(await long.floats())]).toEqual([4, 6]);
    });

    it("behind the barrier of a recomputation", async () => {
      const w = device.parameter([2, 3]);
      const y = checkpoint((x) => ops.mul(ops.sin(x), w.value), [device.tensor([1, 2])]);
      const weights = device.parameter([0.5, 2]);
      const [slope] = grad(ops.sum(ops.mul(times(200, y, half), weights.value)), [w]) as [Tensor];
      const [first] = await slope.floats();
      expect(first).toBeCloseTo(0.5 * Math.sin(1), 5);
    });

    it("among maxima that exponents might stay below", async () => {
      const x = device.tensor([1, 2, 4, 3], [2, 2]);
      const peak = times(60, ops.amax(x, 1, true), (m) => ops.maximum(ops.maximum(m, 0), ops.maximum(m, -1)));
      const [low] = await ops.exp(ops.sub(ops.mul(x, 0.5), peak)).floats();
      expect(low).toBeCloseTo(Math.exp(-1.5), 5);
    });
  });
});
