/** Small causal models of three families and texts for them. */
import { metaModel, type ConfigSource } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { Base } from "../src/bases/base.ts";
import type { CausalSet } from "../src/data/causal-examples.ts";
import { TokenSetBuilder } from "../src/data/token-set.ts";

export const VOCAB = 29;

// weights of 0.3 keep attention away from the even one that 0.02 would give in models this small
const shared = {
  vocab_size: VOCAB,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 20,
  initializer_range: 0.3,
};

/** Architectures and the config.json of a small one. @param positions that it has */
export const CAUSAL: Readonly<Record<string, (positions: number) => ConfigSource>> = {
  GPT2LMHeadModel: (positions) => ({
    model_type: "gpt2",
    vocab_size: VOCAB,
    n_embd: 12,
    n_layer: 2,
    n_head: 2,
    n_positions: positions,
    initializer_range: 0.3,
    attn_pdrop: 0,
    resid_pdrop: 0,
    embd_pdrop: 0,
  }),
  LlamaForCausalLM: (positions) => ({ ...shared, model_type: "llama", max_position_embeddings: positions }),
  // every second layer sees four tokens
  Gemma3ForCausalLM: (positions) => ({
    ...shared,
    model_type: "gemma3_text",
    max_position_embeddings: positions,
    head_dim: 8,
    query_pre_attn_scalar: 13,
    sliding_window: 4,
    sliding_window_pattern: 2,
  }),
};

export async function causalBase(architecture: string, positions: number, device: Device, seed = 5): Promise<Base> {
  const model = metaModel(architecture, CAUSAL[architecture]!(positions));
  await model.materialize({ device, seed });
  return new Base(model, "CAUSAL_LM", device);
}

export interface ToyText {
  readonly ids: readonly number[];
  readonly learnt: readonly boolean[];
}

export function causalSet(texts: readonly ToyText[]): CausalSet {
  const tokens = new TokenSetBuilder();
  for (const { ids } of texts) tokens.push(ids);
  return { tokens: tokens.build(), learnt: Uint8Array.from(texts.flatMap(({ learnt }) => learnt.map(Number))) };
}
