/** What is true of every Llama. */
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { LLAMA_TABLE, llamaConfigFile, parseLlamaConfig, type LlamaConfig } from "./config.ts";

export const LLAMA: ModelFamily<LlamaConfig> = {
  modelType: "llama",
  basePrefix: "model.",
  sizeKeys: [["vocab_size"], ["hidden_size"], ["num_hidden_layers"], ["num_attention_heads"]],
  floatKeys: floatKeys(LLAMA_TABLE),
  parse: parseLlamaConfig,
  file: llamaConfigFile,
  // dropout is attention's alone
  sized: (sizes) => ({
    vocab_size: sizes.vocab,
    max_position_embeddings: sizes.positions,
    hidden_size: sizes.hidden,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.heads,
    intermediate_size: sizes.intermediate,
    attention_dropout: sizes.dropout,
    initializer_range: sizes.initializerRange,
  }),
  targets: {
    lora: ["q_proj", "v_proj"],
    ia3: ["k_proj", "v_proj", "down_proj"],
    ia3Feedforward: ["down_proj"],
    vera: ["q_proj", "v_proj"],
    adalora: ["q_proj", "v_proj"],
  },
  parts: { attention: ["self_attn\\.[qkvo]_proj"], ffn: ["mlp\\.(gate|up|down)_proj"] },
  inputEmbeddings: ["embed_tokens"],
  outputEmbeddings: ["lm_head"],
  slicedTables: [],
  // keys are turned by their position after the bias, so that it does not cancel
  gradientFree: [],
  buffers: ["rotary_emb.inv_freq"],
  heads: { SEQ_CLS: ["score"] },
};
