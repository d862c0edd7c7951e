/** Values that were lost, wrapped or stretched without a word. The right ones are torch's unless said otherwise. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { erfc, grad, init, ops, sizeOf, type Device, type Tensor } from "../src/index.ts";

let device: Device;
let reference: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  reference = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
});

const of = (on: Device, shape: readonly number[], from = 0): Tensor =>
  on.tensor(
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => from + i),
    shape,
    on.defaultFloat,
  );

describe("matmul of vectors", () => {
  // sums of small whole numbers, exact in any order
  it.each<[number[], number[], number[], number[]]>([
    [[3], [3], [], [8]],
    [[1], [1], [], [0]],
    [[2], [2, 3], [3], [4, 5, 6]],
    [[2, 3], [3], [2], [8, 26]],
    [[2], [2, 2, 1], [2, 1], [2, 4]],
    [[2, 1, 2], [2], [2, 1], [2, 8]],
    [[0], [0], [], [0]],
    [[0], [0, 2], [2], [0, 0]],
    [[2, 0], [0], [2], [0, 0]],
  ])("%j · %j has shape %j", async (left, right, shape, values) => {
    for (const on of [device, reference]) {
      const [a, b] = [of(on, left), of(on, right, 1)];
      const y = ops.matmul(a, b);
      expect(y.shape).toEqual(shape);
      expect([...(await y.floats())]).toEqual(values);
      const [ga, gb] = grad(ops.sum(y), [a, b]);
      await on.realize(ga!, gb!);
      expect([ga!.shape, gb!.shape]).toEqual([left, right]);
      if (shape.length === 0)
        expect([...(await ga!.floats()), ...(await gb!.floats())]).toEqual([
          ...(await b.floats()),
          ...(await a.floats()),
        ]);
    }
  });

  it("names the shapes it was given", () => {
    expect(() => ops.matmul(of(device, [3]), of(device, [4]))).toThrow(
      "matmul: inner dimensions differ: [3] · [4] (3 ≠ 4)",
    );
    expect(() => ops.matmul(of(device, [3]), of(device, [2, 3]))).toThrow(
      "matmul: inner dimensions differ: [3] · [2, 3] (3 ≠ 2)",
    );
  });
});

describe("sums of narrow integers", () => {
  test.prop([fc.uint8Array({ minLength: 1, maxLength: 20 })], { numRuns: 30 })("do not wrap", async (bytes) => {
    let total = 0;
    const running = Array.from(bytes, (b) => (total += b));
    for (const on of [device, reference]) {
      const x = on.tensor(Uint8Array.from(bytes));
      const [sum, steps] = [ops.sum(x), ops.cumsum(x, 0)];
      await on.realize(sum, steps);
      expect([sum.dtype, steps.dtype]).toEqual(["i32", "i32"]);
      expect([await sum.item(), ...(await steps.floats())]).toEqual([total, ...running]);
    }
  });

  it("a quotient of integers is refused and says what torch does", () => {
    expect(() => ops.div(device.tensor(Int32Array.of(7)), 2)).toThrow(
      "div: needs float tensors, got i32 and i32; cast one to f32 first, as torch does by itself",
    );
  });
});

describe("losses of two tensors", () => {
  it.each(["mse", "binaryCrossEntropy"] as const)("%s takes equal shapes only", (name) => {
    for (const [a, b] of [
      [[4], [4, 1]],
      [[4, 1], [4]],
      [[4], [1]],
      [[], [1]],
    ]) {
      expect(() => ops[name](of(device, a!), of(device, b!))).toThrow(
        `${name}: shapes differ: [${a!.join(", ")}] and [${b!.join(", ")}]`,
      );
    }
    expect(ops[name](of(device, [4, 1]), of(device, [4, 1])).shape).toEqual([]);
  });

  it("binary cross-entropy is torch's", async () => {
    // torch 2.13: binary_cross_entropy_with_logits(x, y, reduction="none") and the gradient of its sum, f64
    const x = reference.tensor([-30, -1.5, 0, 0.25, 30]);
    const y = reference.tensor([1, 0.25, 0.5, 0, 1]);
    const loss = ops.binaryCrossEntropy(x, y, "none");
    const [g] = grad(ops.sum(loss), [x]);
    await reference.realize(loss, g!);
    expectNear(await loss.floats(), BCE_LOSS);
    expectNear(await g!.floats(), BCE_GRADIENT);
  });
});

describe("nothing", () => {
  it("has the sum 0, the mean NaN, and no maximum", async () => {
    for (const on of [device, reference]) {
      const x = of(on, [0, 3]);
      expect(await ops.sum(x).item()).toBe(0);
      expect([...(await ops.sum(x, 0).floats())]).toEqual([0, 0, 0]);
      expect(await ops.mean(x).item()).toBeNaN();
      expect(await ops.mse(x, x).item()).toBeNaN();
      expect(await ops.crossEntropy(x, on.tensor(new Int32Array(0))).item()).toBeNaN();
      expect(await ops.crossEntropy(x, on.tensor(new Int32Array(0)), { reduction: "sum" }).item()).toBe(0);
      expect([...(await ops.logsumexp(of(on, [2, 0])).floats())]).toEqual([-Infinity, -Infinity]);
      expect(ops.softmax(of(on, [2, 0])).shape).toEqual([2, 0]);
      expect([...(await ops.linear(of(on, [5, 0]), of(on, [2, 0])).floats())]).toEqual(new Array(10).fill(0));
      for (const name of ["amax", "amin", "argmax", "argmin"] as const)
        expect(() => ops[name](x, 0)).toThrow(`${name}: [0, 3] has no elements to choose from`);
      expect(ops.topk(of(on, [2, 3]), 0).values.shape).toEqual([2, 0]);
      const weight = of(on, [2, 3]);
      expect([...(await grad(ops.sum(ops.matmul(of(on, [0, 2]), weight)), [weight])[0]!.floats())]).toEqual(
        new Array(6).fill(0),
      );
    }
  });
});

describe("where functions are small", () => {
  const points = Float32Array.from({ length: 200 }, (_, i) => -4 - i * 0.0425);

  /** Largest relative error over points, in units of 2⁻²⁴. */
  async function worst(
    y: (x: Tensor) => Tensor,
    truth: (x: number) => number,
    x: Float32Array = points,
  ): Promise<number> {
    const got = await y(device.tensor(x)).floats();
    return Math.max(...Array.from(x, (v, i) => Math.abs(got[i]! / truth(v) - 1) * 2 ** 24));
  }
  const slope =
    (f: (x: Tensor) => Tensor) =>
    (x: Tensor): Tensor =>
      grad(ops.sum(f(x)), [x])[0]!;
  const gaussian = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  const cdf = (x: number): number => erfc(-x / Math.SQRT2) / 2;

  it("GELU keeps its digits below -4, and its slope those that rounding x² leaves", async () => {
    expect(
      await worst(
        (x) => ops.gelu(x),
        (x) => x * cdf(x),
      ),
    ).toBeLessThan(8);
    // κ = x² ≤ 157 halves of a unit
    expect(
      await worst(
        slope((x) => ops.gelu(x)),
        (x) => cdf(x) + x * gaussian(x),
      ),
    ).toBeLessThan(200);
    const v = (x: number): number => 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
    expect(
      await worst(
        (x) => ops.gelu(x, "tanh"),
        (x) => x / (1 + Math.exp(-v(x))),
        points.filter((x) => x > -9.5),
      ),
    ).toBeLessThan(400);
  });

  it("slopes of tanh, sigmoid and the losses do not cancel", async () => {
    const far = Float32Array.from({ length: 200 }, (_, i) => 4 + i * 0.18);
    for (const x of [far, far.map((v) => -v)]) {
      expect(await worst(slope(ops.tanh), (v) => Math.cosh(v) ** -2, x)).toBeLessThan(16);
      expect(
        await worst(slope(ops.sigmoid), (v) => Math.exp(-Math.abs(v)) / (1 + Math.exp(-Math.abs(v))) ** 2, x),
      ).toBeLessThan(16);
    }
    const ones = (x: Tensor): Tensor => device.full(x.shape, 1);
    expect(
      await worst(
        (x) => ops.binaryCrossEntropy(x, ones(x), "none"),
        (v) => Math.log1p(Math.exp(-v)),
        far,
      ),
    ).toBeLessThan(16);
    expect(
      await worst(
        slope((x) => ops.binaryCrossEntropy(x, ones(x), "sum")),
        (v) => -Math.exp(-v) / (1 + Math.exp(-v)),
        far,
      ),
    ).toBeLessThan(16);
  });
});

/** Torch takes 1 from σ(x) and so is itself right to a unit of 1. */
function expectNear(got: Float64Array, want: readonly number[]): void {
  want.forEach((w, i) => expect(Math.abs(got[i]! - w)).toBeLessThanOrEqual(2 ** -52 + 1e-14 * Math.abs(w)));
}

const BCE_LOSS = [
  30.000000000000092, 0.5764132779827524, 0.6931471805599453, 0.8259394198788436, 9.357622968839737e-14,
];
const BCE_GRADIENT = [-0.9999999999999064, -0.06757447619364365, 0.0, 0.5621765008857981, -9.348077867343818e-14];
