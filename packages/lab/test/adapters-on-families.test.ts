/** LoRA on the modules that PEFT takes by default trains every family: a few steps on wasm, saved and read back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { architectures, directory, metaModel, type ConfigSource } from "@lowrank/models";
import { AdamW, Rngs } from "@lowrank/nn";
import { adapt, loadAdapter, saveAdapter } from "@lowrank/peft";
import { grad, init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true });
});

const small: ConfigSource = {
  vocab_size: 19,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 12,
  max_position_embeddings: 16,
  initializer_range: 0.3,
  pad_token_id: 0,
};
const deberta = { relative_attention: true, position_buckets: 4, pos_att_type: ["c2p", "p2c"], share_att_key: true };
const window = { sliding_window: 3 };

/** PEFT's defaults (peft 0.21.2, utils/constants.py). */
const TARGETS = ["q_proj", "v_proj"];
const CASES: readonly (readonly [string, ConfigSource, "SEQ_CLS" | "TOKEN_CLS" | "CAUSAL_LM", readonly string[]])[] = [
  ["DebertaV2ForSequenceClassification", deberta, "SEQ_CLS", ["query_proj", "value_proj"]],
  ["DebertaV2ForTokenClassification", { ...deberta, conv_kernel_size: 3 }, "TOKEN_CLS", ["query_proj", "value_proj"]],
  ["LlamaForSequenceClassification", {}, "SEQ_CLS", TARGETS],
  [
    "LlamaForCausalLM",
    { rope_scaling: { rope_type: "dynamic", factor: 2 }, max_position_embeddings: 3 },
    "CAUSAL_LM",
    TARGETS,
  ],
  ["MistralForCausalLM", window, "CAUSAL_LM", TARGETS],
  ["Qwen2ForCausalLM", { ...window, use_sliding_window: true, max_window_layers: 1 }, "CAUSAL_LM", TARGETS],
  ["Qwen3ForSequenceClassification", { head_dim: 6 }, "SEQ_CLS", TARGETS],
  ["Gemma3ForCausalLM", { ...window, head_dim: 6, sliding_window_pattern: 2 }, "CAUSAL_LM", TARGETS],
];

it.each(CASES)("%s learns through LoRA, %j", async (name, more, taskType, targets) => {
  const { modelType } = architectures[name]!.family;
  const make = async () => {
    const model = metaModel(name, { model_type: modelType, ...small, ...more });
    await model.materialize({ device, seed: 1 });
    return model;
  };
  const model = await make();
  const adapter = await adapt(model, { r: 2, alpha: 4, taskType }, { device, seed: 2 });
  expect(new Set([...adapter.updates.keys()].map((path) => path.split(".").at(-1)))).toEqual(new Set(targets));
  const ids = device.tensor([2, 5, 7, 9, 3, 4, 8, 0, 0, 0], [2, 5], "i32");
  const attentionMask = device.tensor(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0, 0, 0), [2, 5], "bool");
  const labels =
    taskType === "SEQ_CLS"
      ? device.tensor([0, 1], [2], "i32")
      : taskType === "TOKEN_CLS"
        ? device.tensor([0, 1, 1, 0, 1, 0, 1, -100, -100, -100], [2, 5], "i32")
        : device.tensor([2, 5, 7, 9, 3, 4, 8, -100, -100, -100], [2, 5], "i32");
  const forward = (of: typeof model): { loss: Tensor; logits: Tensor } =>
    of.forward({ inputIds: ids, attentionMask, labels } as never) as never;
  const frozen = [...model.namedWeights()].filter(([, w]) => !w.trainable);
  const before = await Promise.all(frozen.map(async ([, w]) => (await w.read()).data));

  model.train(new Rngs(device, 5));
  const optimizer = new AdamW(model.trainableWeights(), { lr: 2e-2 });
  const losses: number[] = [];
  for (let step = 0; step < 6; step++) {
    const { loss } = forward(model);
    const grads = grad(loss, optimizer.parameters);
    if (step > 0)
      for (const g of grads) expect((await g.floats()).some((v) => v !== 0 && Number.isFinite(v))).toBe(true);
    optimizer.step(grads);
    await device.realize(loss);
    losses.push(await loss.item());
  }
  model.eval();
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  for (const [i, [path, w]] of frozen.entries()) expect((await w.read()).data, path).toEqual(before[i]);

  const where = join(folder, name);
  await saveAdapter(adapter, directory(where));
  const again = await make();
  const read = await loadAdapter(again, directory(where), { device });
  expect(read.warnings).toEqual([]);
  expect(await forward(again).logits.floats()).toEqual(await forward(model).logits.floats());
});

/** Language models, and what scores their words. */
const HEADS: readonly (readonly [string, string, ConfigSource])[] = [
  ["LlamaForCausalLM", "lm_head", { model_type: "llama", ...small }],
  ["GPT2LMHeadModel", "lm_head", { model_type: "gpt2", vocab_size: 19, n_embd: 8, n_layer: 1, n_head: 2 }],
  ["RobertaForMaskedLM", "lm_head.decoder", { model_type: "roberta", ...small, tie_word_embeddings: false }],
];

it.each(HEADS)("%s trains its %s whole, through the loss", async (name, head, config) => {
  const model = metaModel(name, config);
  await model.materialize({ device, seed: 1 });
  const inputIds = device.tensor([2, 5, 7, 9, 3], [1, 5], "i32");
  const loss = (): Tensor => (model.forward({ inputIds, labels: inputIds } as never) as { loss: Tensor }).loss;
  const before = await loss().data();
  await adapt(model, { r: 2, alpha: 4, modulesToSave: [head] }, { device, seed: 2 });
  expect(await loss().data()).toEqual(before);
  const trained = [...model.namedWeights()].filter(([path, w]) => w.trainable && path.includes("modules_to_save"));
  expect(trained.length).toBeGreaterThan(0);
  const weight = trained.find(([path]) => path.endsWith(".weight"))![1];
  const [slope] = grad(loss(), [weight.value]);
  expect((await slope!.floats()).some((x) => x !== 0)).toBe(true);
});
