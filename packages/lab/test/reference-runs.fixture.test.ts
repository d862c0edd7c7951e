/**
 * The first steps of golden trainings of torch and PEFT on a real checkpoint and real texts, made by a run of the lab: only what a study can say,
 * an order of rows and initial values from outside. All steps of all configurations are in `reference-runs.slow.ts`.
 */
import { createHash } from "node:crypto";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checksums, dataOf, deviations, drawnTensors, follow, golden, permutation, present } from "./reference-run.ts";

it.skipIf(present)("has a fixtures folder and a base (set LOWRANK_FIXTURES and LOWRANK_DATA)", () => {
  expect(present).toBe(true);
});

const sha = (values: Iterable<Int32Array | Float32Array>): string => {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of values) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest("hex");
};

describe.skipIf(!present)("streams", () => {
  it.each(["13", "42", "2024"])("of seed %s have the protocol's words", (seed) => {
    const { order, init: drawn, tensors } = checksums()[seed]!;
    expect(sha([permutation(Number(seed), 0, 8000)])).toBe(order.sha256);
    for (const [kind, config] of [
      ["lora_r8", "b-fp"],
      ["joint-3", "joint-3"],
      ["adalora_r12", "b-ada"],
    ] as const) {
      const all = [...drawnTensors(config, Number(seed))];
      const adapter = all.filter(([name]) => !name.startsWith("classifier.")).sort(([a], [b]) => (a < b ? -1 : 1));
      expect(sha(adapter.map(([, values]) => values)), kind).toBe(drawn[kind]);
      expect(sha([all[0]![1]])).toBe(tensors["classifier.weight"]!.sha256);
    }
  });
});

const STEPS = 8;

describe.skipIf(!present)("the first steps", () => {
  let device: Device;
  let data: ReturnType<typeof dataOf>;
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
    data = dataOf(golden("b-fp-s13"));
  });
  afterAll(() => {
    device.close();
    data.remove();
  });

  it.each(["b-fp-s13", "b-q4-s13", "joint-1-s13"])(
    "%s: losses, gradient norms, rates and what is added to the loss",
    async (name) => {
      const got = await follow(name, data.folder, device, STEPS);
      expect(got.loss).toHaveLength(STEPS);
      const list = deviations(got, golden(name));
      expect(list.filter(({ largest, allowed }) => !(largest <= allowed))).toEqual([]);
    },
    600_000,
  );
});
