/** With an adapter attached, merged or switched from text to text, a cache gives what the whole text gives, and each adapter its own text. */
import { metaModel, TextGenerator } from "@lowrank/models";
import { activate, adapt } from "@lowrank/peft";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";

const CONFIG = {
  llama: {
    model_type: "llama",
    vocab_size: 61,
    hidden_size: 16,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 2,
    intermediate_size: 24,
    max_position_embeddings: 48,
    initializer_range: 0.3,
  },
  gpt2: {
    model_type: "gpt2",
    vocab_size: 61,
    n_embd: 16,
    n_head: 4,
    n_layer: 2,
    n_positions: 48,
    initializer_range: 0.3,
  },
};
const KINDS = [
  ["LlamaForCausalLM", CONFIG.llama, ["q_proj", "v_proj", "down_proj"]],
  ["GPT2LMHeadModel", CONFIG.gpt2, ["c_attn"]],
] as const;

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

it.each(KINDS)("%s", async (name, config, targets) => {
  const model = metaModel(name, config);
  await model.materialize({ device, seed: 3 });
  const generator = new TextGenerator(model);
  const text = async (cache = true): Promise<string> => {
    const out: number[] = [];
    for await (const step of generator.tokens([[5, 7, 11, 2]], { maxNewTokens: 24, cache })) out.push(step[0]!.id);
    return out.join();
  };
  const base = await text();
  const texts: string[] = [base];
  const made = [];
  for (const [i, adapter] of ["one", "two"].entries()) {
    const added = await adapt(
      model,
      { r: 2, alpha: 8, targetModules: [...targets], taskType: "CAUSAL_LM" },
      { device, seed: 20 + i, name: adapter },
    );
    // what a training would have made of B, which begins at 0
    for (const [path, weight] of model.namedWeights())
      if (path.includes("lora_B") && path.includes(adapter))
        weight.parameter.write(Float32Array.from({ length: weight.size }, (_, j) => Math.sin(j + 10 * i)));
    made.push(added);
    activate(model, adapter);
    texts.push(await text());
    expect(await text(false)).toBe(texts.at(-1));
  }
  expect(new Set(texts).size).toBe(3);
  const { plans } = generator;
  for (const [adapter, want] of [
    ["one", texts[1]],
    ["two", texts[2]],
    ["one", texts[1]],
  ] as const) {
    activate(model, adapter);
    expect(await text()).toBe(want);
  }
  expect(generator.plans).toBe(plans);
  activate(model);
  expect(await text()).toBe(base);
  activate(model, "two");
  await made[1]!.merge();
  expect(await text()).toBe(texts[2]);
  expect(await text(false)).toBe(texts[2]);
  generator.dispose();
});
