/**
 * What is read at several places is computed for each of them. Where every step reads the one before so, kernels must not grow as 2ⁿ, nor
 * may the time to make them.
 */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wasmTarget } from "../src/backends/wasm/target.ts";
import { buildProgram } from "../src/graph/program.ts";
import { init, ops, type Device, type Tensor } from "../src/index.ts";
import type { LoopKernel } from "../src/ir/kernel.ts";
import { buildPlan } from "../src/plan/build-plan.ts";
import { MOST_PLACES } from "../src/schedule/repeats.ts";

const N = 8;
const shift = (v: Tensor): Tensor => ops.slice(ops.pad(v, [[1, 0]]), 0, 0, N);
const half = (v: Tensor): Tensor => ops.mul(v, 0.5);
const likeRope = (v: Tensor): Tensor => {
  const ones = v.device.tensor(new Float32Array(N).fill(1));
  return ops.reshape(ops.rope(ops.reshape(v, [1, 1, 1, N]), ones, ones), [N]);
};

/** Whole numbers up to N stay exact in f32: a step takes or gives one bit, and there are at most 14. */
const steps: Record<string, (v: Tensor) => Tensor> = {
  roll: (v) => ops.concat([ops.slice(v, 0, 1, N), ops.slice(v, 0, 0, 1)]),
  update: (v) => ops.dynamicUpdate(v, ops.slice(v, 0, 1, N), v.device.tensor(Int32Array.of(0))),
  itself: (v) => ops.dynamicUpdate(v, v, v.device.tensor(Int32Array.of(0))),
  rope: likeRope,
  stencil: (v) => half(ops.add(v, shift(v))),
  flip: (v) => half(ops.add(v, ops.slice(v, 0, N - 1, -1, -1))),
  negative: (v) => ops.neg(v),
};
const names = Object.keys(steps);
const chain = (device: Device, path: readonly string[]): Tensor =>
  path.reduce((v, name) => steps[name]!(v), device.tensor(Float32Array.from({ length: N }, (_, i) => i + 1)));
/** Of every kernel that runs. */
function instructions(tensor: Tensor): number[] {
  const program = buildProgram([tensor.node], []);
  const plan = buildPlan(program, { fusion: true, target: wasmTarget({ fma: false }), templates: [] });
  return plan.steps.map(({ kernel }) => (plan.kernels[kernel] as LoopKernel).body.length);
}
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** A step reads the one before at 3 places at most. So it is computed at MOST_PLACES, or in a row above memory at three times as many. */
const mostOf = (device: Device, path: readonly string[]): number =>
  3 * MOST_PLACES * sum(path.map((name) => sum(instructions(chain(device, [name])))));

let reference: Device;
let devices: Device[];
beforeAll(async () => {
  reference = await init({ device: "reference" });
  devices = [await init({ device: "interpreter" }), await init({ device: "wasm", threads: 1 })];
});
afterAll(() => {
  for (const device of [reference, ...devices]) device.close();
});

async function sameAsReference(path: readonly string[]): Promise<void> {
  const want = [...(await chain(reference, path).floats())];
  for (const device of devices) expect([...(await chain(device, path).floats())]).toEqual(want);
}

describe.for(["roll", "update", "itself", "rope"])("twelve of %s, one upon another", (name) => {
  const path = new Array<string>(12).fill(name);

  it("take kernels as long as they are many", () => {
    expect(sum(instructions(chain(reference, path)))).toBeLessThanOrEqual(mostOf(reference, path));
    const longer = [...path, ...path, ...path];
    expect(sum(instructions(chain(reference, longer)))).toBeLessThanOrEqual(mostOf(reference, longer));
  });

  it("are computed as the reference does", () => sameAsReference(path));
});

test.prop([fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 14 })], { numRuns: 25 })(
  "any row of steps is computed as the reference does, in kernels as long as it is",
  async (path) => {
    expect(sum(instructions(chain(reference, path)))).toBeLessThanOrEqual(mostOf(reference, path));
    await sameAsReference(path);
  },
);

it("computes rows of a converted table wherever they are wanted, and stores no converted table", () => {
  const table = reference.parameter(new Uint8Array(1000 * N), [1000, N], "u8");
  const rows = Array.from({ length: 2 * MOST_PLACES }, (_, i) =>
    ops.gatherRows(ops.mul(ops.cast(table.value, "f32"), 0.5), reference.tensor(Int32Array.of(i))),
  );
  expect(instructions(rows.reduce((a, b) => ops.add(a, b)))).toHaveLength(1);
});
