/** The first step of a process: a small BERT with LoRA, from imports to the loss. */
import { BertForSequenceClassification, parseBertConfig } from "@lowrank/models";
import { AdamW, Rngs, grad } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, init } from "@lowrank/tensor";

const device = await init({ device: "wasm", threads: 1 });
const model = new BertForSequenceClassification(
  parseBertConfig({
    vocab_size: 100,
    hidden_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 64,
  }),
);
await model.materialize({ device, seed: 1 });
await adapt(
  model,
  { r: 8, alpha: 16, targetModules: ["query", "key", "value", "dense"], taskType: "SEQ_CLS" },
  { device, seed: 1 },
);
model.train(new Rngs(device, 1));
const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-3 });
const step = compile(device, ({ ids, labels }) => {
  const { loss } = model.forward({ inputIds: ids!, labels: labels! });
  optimizer.step(grad(loss!, optimizer.parameters));
  return { loss: loss! };
});
const ids = { data: Int32Array.from({ length: 4 * 8 }, (_, i) => i), shape: [4, 8] };
const { loss } = await step({ ids, labels: { data: Int32Array.of(0, 1, 0, 1), shape: [4] } });
await loss.item();
device.close();
