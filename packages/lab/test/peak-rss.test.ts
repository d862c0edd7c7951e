import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { ProcessMemory } from "../src/study/peak-rss.ts";
import { drawBase } from "../src/bases/make.ts";
import { drawnPlan } from "../src/bases/plan.ts";
import { classification } from "../src/tasks/classification.ts";
import { methods } from "../src/methods/registry.ts";
import { adaptBase } from "../src/train/adapt.ts";
import { TrainingStep } from "../src/train/step.ts";

it("a training step runs in an arena of the planned bytes", async () => {
  const { config, seed } = plannedRuns(await loadStudy("planted")).find((run) => run.config.name === "lora")!;
  const device = await init({ device: "wasm", threads: 1 });
  const plan = drawnPlan(config.model!, "SEQ_CLS", { vocab: 32, positions: 8, labels: 2 });
  const step = new TrainingStep(
    classification,
    await adaptBase(await drawBase(plan, "SEQ_CLS", seed, device), methods.get("lora"), config.method, {
      seed,
      totalSteps: 1,
      data: {} as never,
      task: classification,
    }),
    { ...config.train, lr: () => 1e-3, dropoutSeed: seed },
    device,
  );
  const shape = [16, 8];
  const inputs = {
    inputIds: { data: Int32Array.from({ length: 16 * 8 }, (_, i) => i % 32), shape, dtype: "i32" as const },
    attentionMask: { data: new Uint8Array(16 * 8).fill(1), shape, dtype: "bool" as const },
    labels: { data: Int32Array.from({ length: 16 }, (_, i) => i % 2), shape: [16], dtype: "i32" as const },
  };
  const { arenaBytes } = step.plan(inputs);
  await step.run([{ inputs, rows: 16, length: 8, counted: 16, members: Int32Array.from({ length: 16 }, (_, i) => i) }]);
  const { arena, persistent, scratch, reserved } = device.memory();
  expect(arena).toBe(arenaBytes);
  expect(reserved).toBeGreaterThanOrEqual(persistent + arena + scratch);
  device.close();
});

const planned = {
  persistentBytes: 40e6,
  loadedBytes: 0,
  drawn: false,
  trainableBytes: 1e6,
  plans: [
    { arenaBytes: 10e6, constantBytes: 0, nodes: 1000, kernels: 10 },
    { arenaBytes: 30e6, constantBytes: 5e6, nodes: 1000, kernels: 10 },
  ],
};
const start = { processBytes: 100e6, deviceBytes: 4e6 };

it("parts of the peak add up; runs of one process share its memory and add their plans", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const memory = new ProcessMemory(device, start);
  const alone = memory.with("a", planned)!;
  // weights, constants, the largest arena and the first one, which was outgrown
  expect(alone.deviceBytes).toBe(40e6 + 5e6 + 30e6 + 10e6);
  expect(alone.totalBytes).toBe(alone.processBytes + alone.deviceBytes + alone.planBytes + alone.hostBytes);
  expect(memory.with("a", planned)).toEqual(alone);
  const both = memory.with("b", planned)!;
  expect(both.planBytes).toBeGreaterThan(alone.planBytes);
  expect({ ...both, planBytes: 0, totalBytes: 0 }).toEqual({ ...alone, planBytes: 0, totalBytes: 0 });
  // loaded at full width: the gap that this leaves takes up what would have shut in the first arena
  expect(new ProcessMemory(device, start).with("a", { ...planned, loadedBytes: 200e6 })!.deviceBytes).toBe(200e6);
  // a table that takes more while it is loaded than steps do later
  const loading = new ProcessMemory(device, start).with("a", { ...planned, largestWeightBytes: 500e6 })!;
  expect(loading.totalBytes).toBe(100e6 + 40e6 + 500e6);
  device.close();
});

it("nothing is said of a device whose memory is not the process's", async () => {
  const device = await init({ device: "reference" });
  expect(new ProcessMemory(device, start).with("a", planned)).toBeUndefined();
});
