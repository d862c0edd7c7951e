/** Adapters on real architectures: exports in Hugging Face form, shared tables, and places where an adapter would do nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { architectures, fromPretrained, metaModel, savePretrained, type PretrainedModel } from "@lowrank/models";
import { Embedding, endsIn } from "@lowrank/nn";
import { adapt, attach } from "@lowrank/peft";
import { init, RandomStream, toMemory, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { count } from "../src/cli/params-command.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "reference" });
  folder = mkdtempSync(join(tmpdir(), "lowrank-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true });
});

const small = {
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  vocab_size: 20,
  max_position_embeddings: 16,
};
const gpt2 = { model_type: "gpt2", n_embd: 8, n_layer: 1, n_head: 2, vocab_size: 20, n_positions: 16, pad_token_id: 0 };
const logits = async (model: PretrainedModel): Promise<Float64Array> => {
  const out = model.forward({ inputIds: device.tensor(Int32Array.of(2, 5, 7, 9), [1, 4]) } as never);
  return (out as { logits: Tensor }).logits.floats();
};

it.each([
  ["BertForSequenceClassification", { model_type: "bert", ...small }, ["query", "dense", "word_embeddings"]],
  [
    "RobertaForSequenceClassification",
    { model_type: "roberta", ...small, pad_token_id: 1, type_vocab_size: 1 },
    ["query", "value"],
  ],
  ["GPT2ForSequenceClassification", gpt2, ["c_attn", "c_proj", "wte"]],
] as const)(
  "%s: the merged checkpoint has the base's names and the adapted model's outputs",
  async (name, config, targetModules) => {
    const model = metaModel(name, config);
    await model.materialize({ device, seed: 1 });
    const names = [...model.namedWeights()].map(([n]) => n);
    const adapter = await adapt(model, { r: 2, alpha: 4, targetModules, taskType: "SEQ_CLS" }, { device, seed: 2 });
    for (const [, w] of [...model.namedWeights()].filter(([, weight]) => weight.trainable)) {
      const values = new Float64Array(w.size);
      new RandomStream(3, w.name).fillNormal(values, 0, 0.3);
      w.parameter.write(toMemory(w.parameter.dtype, values, "f64"));
    }
    const adapted = await logits(model);
    const where = join(folder, name);
    expect(adapter.report().trainable).toBeGreaterThan(0);
    const carries = "it carries adapters; save them with saveAdapter, or call mergeAndUnload first";
    await expect(savePretrained(model, where)).rejects.toThrow(carries);
    await adapter.merge();
    await expect(savePretrained(model, where)).rejects.toThrow(carries);
    adapter.unmerge();
    await adapter.mergeAndUnload();
    await savePretrained(model, where);
    const { model: plain, report } = await fromPretrained(where, architectures[name]!, { device });
    expect(report).toEqual({ fresh: [], unused: [], forms: new Map() });
    expect([...plain.namedWeights()].map(([n]) => n)).toEqual(names);
    // f64 all the way; the two add up in different orders
    (await logits(plain)).forEach((v, i) => expect(Math.abs(v - adapted[i]!)).toBeLessThanOrEqual(1e-10));
  },
);

it("what would change a table that the output layer shares is refused", async () => {
  const model = metaModel("GPT2LMHeadModel", gpt2);
  await model.materialize({ device, seed: 1 });
  const before = await logits(model);
  const adapter = await adapt(model, { r: 2, targetModules: ["wte"] }, { device });
  await expect(adapter.merge()).rejects.toThrow("transformer.wte shares its weight with lm_head");
  await adapter.delete();
  await expect(adapt(model, { r: 2, targetModules: ["lm_head"], initLora: "pissa" }, { device })).rejects.toThrow(
    '"pissa" changes the base of lm_head, which transformer.wte reads as well',
  );
  expect(await logits(model)).toEqual(before);
});

it.each([
  ["BertForSequenceClassification", { model_type: "bert", ...small }],
  ["RobertaForSequenceClassification", { model_type: "roberta", ...small, pad_token_id: 1 }],
  [
    "DistilBertForSequenceClassification",
    { model_type: "distilbert", dim: 8, n_heads: 2, n_layers: 1, vocab_size: 20 },
  ],
  ["GPT2ForSequenceClassification", gpt2],
  ["LlamaForCausalLM", { model_type: "llama", ...small }],
] as const)("%s: an adapter on a table has an effect, or the table takes none", async (name, config) => {
  const model = metaModel(name, config);
  await model.materialize({ device, seed: 1 });
  const before = await logits(model);
  const tables = [...model.namedModules()].flatMap(([path, m]) => (m instanceof Embedding ? [path] : []));
  const refused: string[] = [];
  for (const path of tables) {
    const options = { r: 2, targetModules: [path] };
    if (endsIn(path, model.family.slicedTables)) {
      refused.push(path);
      expect(() => attach(model, options)).toThrow(`${path} cannot take an adapter`);
      continue;
    }
    const adapter = await adapt(model, options, { device, seed: 2 });
    for (const { weights } of adapter.updates.values())
      for (const { weight } of weights) weight.parameter.write(new Float64Array(weight.size).fill(0.3));
    expect([...(await logits(model))], path).not.toEqual([...before]);
    await adapter.delete();
  }
  expect(refused.length).toBe(model.family.slicedTables.length);
});

it("a table that the output layer reads whenever it computes is not trained on a copy", () => {
  const config = {
    model_type: "bert",
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 20,
    max_position_embeddings: 8,
  };
  expect(() =>
    attach(metaModel("BertForMaskedLM", config), { targetModules: ["query"], modulesToSave: ["word_embeddings"] }),
  ).toThrow("bert.embeddings.word_embeddings is also the weight of cls.predictions.decoder.weight");
  // GPT-2's output layer keeps the original, as in PEFT
  const gpt = metaModel("GPT2LMHeadModel", {
    model_type: "gpt2",
    n_embd: 8,
    n_layer: 1,
    n_head: 2,
    n_positions: 8,
    vocab_size: 20,
  });
  expect(attach(gpt, { targetModules: ["c_attn"], modulesToSave: ["wte"] }).report().trainable).toBe(
    8 * (8 + 24) + 20 * 8,
  );
});

it("`lowrank params` counts every method from its adapter_config.json", () => {
  const target_modules = ["query", "key", "value", "dense"];
  const common = { task_type: "SEQ_CLS", lora_alpha: 16, target_modules };
  const of = (adapter: Record<string, unknown>): number[] => {
    const { trainable, total, modules } = count({ model_type: "bert" }, { ...common, ...adapter });
    return [trainable, total, modules.length];
  };
  expect(of({ peft_type: "LORA", r: 8 })).toEqual([1_340_930, 110_824_708, 73]);
  expect(of({ peft_type: "ADALORA", init_r: 12, target_r: 8, total_step: 1000 })).toEqual([2_011_502, 111_495_353, 73]);
  const pattern = { "attention.*": 6, "(intermediate|output).dense": 10 };
  expect(of({ peft_type: "LORA", r: 8, rank_pattern: pattern })).toEqual([1_377_794, 110_861_572, 73]);
  expect(of({ peft_type: "LORA", r: 8, rank_pattern: pattern, exclude_modules: ["pooler.dense"] })).toEqual([
    1_365_506, 110_849_284, 72,
  ]);
  // a magnitude per output: 61 modules of 768 outputs, 12 of 3072
  const magnitudes = 61 * 768 + 12 * 3072;
  expect(of({ peft_type: "LORA", r: 8, use_dora: true })).toEqual([
    1_340_930 + magnitudes,
    110_824_708 + magnitudes,
    73,
  ]);
  // PEFT trains with a key that matches nothing, so a file may have one; it is said
  expect(of({ peft_type: "LORA", r: 8, rank_pattern: { attention: 6, ffn: 10 } })).toEqual([
    1_340_930, 110_824_708, 73,
  ]);
  expect(
    count({ model_type: "bert" }, { ...common, peft_type: "LORA", rank_pattern: { attention: 6, ffn: 10 } }).warnings,
  ).toEqual([
    expect.stringContaining('rank_pattern "attention" matches no target module'),
    expect.stringContaining('rank_pattern "ffn" matches no target module'),
  ]);
});
