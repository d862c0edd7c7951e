/** Three BERT-base LoRA steps; prints the process's peak resident bytes, measured and told from the plan. */
import { ProcessMemory, startMemory } from "@lowrank/lab";
import { bytesOf, init } from "@lowrank/tensor";
import { BASE, buildStepOn, type StepOptions } from "./bert.ts";

const [storage, recompute] = process.argv.slice(2);
const device = await init({ device: "wasm", threads: 2 });
const memory = new ProcessMemory(device, startMemory(device));
const { step, inputs, model, close } = await buildStepOn(device, BASE, {
  method: "lora",
  storage: storage as NonNullable<StepOptions["storage"]>,
  recompute: recompute === "true",
});
for (let i = 0; i < 3; i++) await (await step(inputs)).loss.item();
const trainableBytes = model
  .trainableWeights()
  .reduce((sum, weight) => sum + weight.size * bytesOf(weight.parameter.dtype), 0);
const estimate = memory.with("step", {
  persistentBytes: device.memory().persistent,
  loadedBytes: 0,
  drawn: true,
  trainableBytes,
  plans: step.info(),
})!;
process.stdout.write(
  JSON.stringify({ measured: process.resourceUsage().maxRSS * 1024, estimate: estimate.totalBytes }),
);
close();
