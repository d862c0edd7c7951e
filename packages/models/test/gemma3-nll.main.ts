/**
 * `gemma3-nll.main.ts FILE`, for the test beside it: tokenizer, model and one forward pass of the ids that standard input has as JSON, the last of
 * which is only asked for. Prints −log p of each id after the first and resident bytes, at the start and at most.
 */
import { readFileSync } from "node:fs";
import { compile, init, ops } from "@lowrank/tensor";
import { fromPretrained, Gemma3ForCausalLM, loadTokenizer } from "../src/index.ts";

const startRss = process.memoryUsage().rss;
const [path] = process.argv.slice(2) as [string];
const ids = JSON.parse(readFileSync(0, "utf8")) as number[];
const [asked, length] = [ids.at(-1)!, ids.length - 1];
const device = await init({ device: "wasm", threads: 2 });
const { model } = await fromPretrained(path, Gemma3ForCausalLM, { device });
const tokenizer = await loadTokenizer(path);
const step = compile(device, ({ inputIds }) => {
  const { lastHiddenState, tokenLosses } = model.forward({ inputIds: inputIds!, labels: inputIds! });
  return {
    losses: tokenLosses!,
    // logits of one place, and not of all with one taken out
    logits: model.lm_head.forward(ops.slice(lastHiddenState, 1, length - 1, length)),
  };
});
const { losses, logits } = await step({
  inputIds: { data: Int32Array.from(ids.slice(0, length)), shape: [1, length], dtype: "i32" },
});
const [nll, last] = [await losses.floats(), await logits.floats()];
const peakRss = 1024 * process.resourceUsage().maxRSS;
const most = last.reduce((a, v) => Math.max(a, v), -Infinity);
const all = most + Math.log(last.reduce((sum, v) => sum + Math.exp(v - most), 0));
const text = tokenizer.decode(ids.slice(1, 40));
process.stdout.write(JSON.stringify({ nll: [...nll], next: all - last[asked]!, text, peakRss, startRss }));
device.close();
