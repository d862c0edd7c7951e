/** Dropout belongs to an example: neither how far its batch is padded nor how it is cut changes what is dropped, with adapters or without. */
import { metaModel, type ConfigSource } from "@lowrank/models";
import { Rngs } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, init, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROWS = 4;
const STEP = 3;
const shared = { vocab_size: 40, attention_dropout: 0.2, initializer_range: 0.3, pad_token_id: 0 };
const MODELS: Readonly<Record<string, ConfigSource>> = {
  BertForTokenClassification: {
    ...shared,
    model_type: "bert",
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 20,
    max_position_embeddings: 600,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.2,
  },
  GPT2LMHeadModel: {
    model_type: "gpt2",
    vocab_size: 40,
    n_embd: 16,
    n_layer: 2,
    n_head: 2,
    n_positions: 600,
    initializer_range: 0.3,
    attn_pdrop: 0.2,
  },
  LlamaForCausalLM: {
    ...shared,
    model_type: "llama",
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: 20,
    max_position_embeddings: 600,
  },
};

let device: Device;
// f64: what is left of a difference is the order of sums, far below the tolerance
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
});

/** Logits of the real tokens of texts `first` … `first + rows − 1`, padded to `length`, which stand in rows that are `shift` further on. */
type Run = (first: number, rows: number, length: number, step?: number, shift?: number) => Promise<number[]>;

async function runner(name: string, lora: boolean, real: number): Promise<Run> {
  const model = metaModel(name, MODELS[name]!) as never as {
    forward(x: object): { logits: Tensor };
    train(keys: Rngs): void;
    materialize(x: object): Promise<unknown>;
  };
  await model.materialize({ device, seed: 2 });
  if (lora)
    await adapt(
      model as never,
      { r: 4, alpha: 8, dropout: 0.3, initLora: false, targetModules: "all-linear" },
      { device, seed: 2 },
    );
  const keys = new Rngs(device, 9);
  model.train(keys);
  const step = compile(device, ({ ids, mask }) => ({
    logits: model.forward({ inputIds: ids, attentionMask: mask }).logits,
  }));
  return async (first, rows, length, now = STEP, shift = 0) => {
    keys.step = now;
    keys.firstRow = first + shift;
    const at = Array.from({ length: rows * length }, (_, i) => [first + Math.floor(i / length), i % length] as const);
    const shape = [rows, length];
    const { logits } = await step({
      ids: { data: Int32Array.from(at, ([r, p]) => (p < real ? 1 + ((r * 31 + p * 7) % 39) : 0)), shape },
      mask: { data: Uint8Array.from(at, ([, p]) => Number(p < real)), shape, dtype: "bool" },
    });
    const width = logits.shape[2]!;
    return [...(await logits.floats())].filter((_, i) => Math.floor(i / width) % length < real);
  };
}

function furthest(got: readonly number[], want: readonly number[]): number {
  expect(got.length).toBe(want.length);
  return Math.max(...got.map((v, i) => Math.abs(v - want[i]!)));
}

describe.each(Object.keys(MODELS).flatMap((name) => [[name, false] as const, [name, true] as const]))(
  "%s, with LoRA: %s",
  (name, lora) => {
    it("drops the same under more padding, and in two batches as in one", async () => {
      const run = await runner(name, lora, 6);
      const whole = await run(0, ROWS, 6);
      expect(furthest(await run(0, ROWS, 6), whole)).toBe(0);
      expect(furthest(await run(0, ROWS, 11), whole)).toBeLessThan(1e-10);
      const cut = [...(await run(0, 1, 8)), ...(await run(1, ROWS - 1, 6))];
      expect(furthest(cut, whole)).toBeLessThan(1e-10);
    });

    it("drops something else in another row and in another step", async () => {
      const run = await runner(name, lora, 6);
      const first = await run(0, 1, 6);
      expect(furthest(await run(0, 1, 6, STEP + 1), first)).toBeGreaterThan(1e-3);
      expect(furthest(await run(0, 1, 6, STEP, 1), first)).toBeGreaterThan(1e-3);
    });
  },
);

// up to 512 tokens attention is one matrix, beyond it goes by blocks of queries
it("drops the same where attention goes block by block", async () => {
  const run = await runner("GPT2LMHeadModel", false, 140);
  expect(furthest(await run(2, 1, 520), await run(2, 1, 140))).toBeLessThan(1e-10);
}, 240_000);
