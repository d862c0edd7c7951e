/**
 * Loads a checkpoint and computes 16 tokens, in a process of its own so that the peak is its own. Arguments: the folder, and "nf4" or "kept". Prints
 * peak resident bytes, what the device holds, and whether all logits are numbers.
 */
import { planQuantization } from "@lowrank/quant";
import { init } from "@lowrank/tensor";
import { fromPretrained, LlamaForCausalLM } from "../src/index.ts";

const [folder = "", how] = process.argv.slice(2);
const device = await init({ device: "wasm", threads: 2 });
const { model, report } = await fromPretrained(folder, LlamaForCausalLM, {
  device,
  dtype: "bf16",
  ...(how === "nf4" ? { storage: (m) => planQuantization(m).storage } : {}),
});
const inputIds = device.tensor(
  Int32Array.from({ length: 16 }, (_, i) => (997 * i) % model.config.vocabSize),
  [1, 16],
  "i32",
);
const logits = await model.forward({ inputIds }).logits.data();
process.stdout.write(
  JSON.stringify({
    peak: process.resourceUsage().maxRSS * 1024,
    held: device.memory().persistent,
    finite: logits.every(Number.isFinite),
    fresh: report.fresh.length,
    unused: report.unused.length,
  }),
);
device.close();
