/** What a plan says of its arithmetic, against counts by hand and against what benchmarks call necessary. */
import { compile, init, ops, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildStepOn, type StepShape } from "../src/bert.ts";
import { necessaryFlops } from "../src/steps.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const SHAPE: StepShape = { layers: 2, hidden: 64, batch: 3, length: 8, vocabulary: 50 };
const { layers, hidden: h, batch, length } = SHAPE;
const tokens = batch * length;
const specs = {
  ids: { shape: [batch, length], dtype: "i32" },
  mask: { shape: [batch, length], dtype: "bool" },
  labels: { shape: [batch], dtype: "i32" },
} as const;
/** Operations of a product. */
const product = (m: number, k: number, n: number): number => 2 * m * k * n;

describe("the operations of a plan's products", () => {
  it("of a BERT step that trains everything are three times those of its forward pass", async () => {
    const { step } = await buildStepOn(device, SHAPE, { method: "full" });
    // q, k, v, output; the two of the feed-forward; scores and their use; then pooler and classifier, of first tokens alone
    const layer = 4 * product(tokens, h, h) + 2 * product(tokens, h, 4 * h) + 2 * batch * product(length, h, length);
    const head = product(batch, h, h) + product(batch, h, 2);
    const { flops } = step.plan(specs);
    expect(flops).toBe(3 * (layers * layer + head));
    // what benchmarks divide by the time leaves out the head alone
    expect(flops).toBe(necessaryFlops(SHAPE, "full") + 3 * head);
  });

  it("of a LoRA step are those of the base without its weights' gradients, and the adapters'", async () => {
    const { step } = await buildStepOn(device, SHAPE, { method: "lora" });
    const r = 8;
    const linear = (rows: number, from: number, to: number, wanted: boolean): number => {
      // x·W, and its gradient where somebody wants x's; (x·A)·B with the gradients of A, B, x·A and, where wanted, x
      const base = (wanted ? 2 : 1) * product(rows, from, to);
      return base + (wanted ? 3 : 2) * product(rows, from, r) + 3 * product(rows, r, to);
    };
    // nothing under the first layer trains
    const layer = (first: boolean): number =>
      3 * linear(tokens, h, h, !first) +
      linear(tokens, h, h, true) +
      linear(tokens, h, 4 * h, true) +
      linear(tokens, 4 * h, h, true) +
      3 * 2 * batch * product(length, h, length);
    const head = linear(batch, h, h, true) + 3 * product(batch, h, 2);
    expect(step.plan(specs).flops).toBe(layer(true) + layer(false) + head);
  });

  it("are told of the call that ran, which is fresh until it was planned and verified", async () => {
    const step = compile(device, ({ x }) => ({ y: ops.matmul(x!, ops.transpose(x!)) }));
    const x = (rows: number) => ({ x: { data: new Float32Array(rows * 5), shape: [rows, 5] } });
    expect(step.ran).toBeUndefined();
    for (const [rows, fresh] of [
      [4, true],
      [4, true],
      [4, false],
      [6, true],
      [4, false],
    ] as const) {
      await step(x(rows));
      expect(step.ran).toMatchObject({ flops: product(rows, 5, rows), fresh });
    }
  });

  it("are the same however kernels are put together", async () => {
    const plain = await init({ device: "wasm", threads: 1, fusion: false });
    for (const method of ["full", "lora"] as const) {
      const [fused, apart] = await Promise.all([device, plain].map((d) => buildStepOn(d, SHAPE, { method })));
      expect(apart!.step.plan(specs).flops).toBe(fused!.step.plan(specs).flops);
    }
    plain.close();
  });
});
