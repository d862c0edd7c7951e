/** Three BERT-base LoRA steps; prints the process's peak resident bytes. */
import { BASE, buildStep, type StepOptions } from "./bert.ts";

const [storage, recompute] = process.argv.slice(2);
const { step, inputs, close } = await buildStep(BASE, { method: "lora", storage: storage as NonNullable<StepOptions["storage"]>, recompute: recompute === "true", threads: 2 });
for (let i = 0; i < 3; i++) await (await step(inputs)).loss.item();
process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
close();
