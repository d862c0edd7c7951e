/** What is true of every GPT-2. */
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { GPT2_TABLE, gpt2ConfigFile, parseGPT2Config, type GPT2Config } from "./config.ts";

export const GPT2: ModelFamily<GPT2Config> = {
  modelType: "gpt2",
  basePrefix: "transformer.",
  sizeKeys: [
    ["vocab_size"],
    ["n_embd", "hidden_size"],
    ["n_layer", "num_hidden_layers"],
    ["n_head", "num_attention_heads"],
  ],
  floatKeys: floatKeys(GPT2_TABLE),
  parse: parseGPT2Config,
  file: gpt2ConfigFile,
  sized: (sizes) => ({
    vocab_size: sizes.vocab,
    n_positions: sizes.positions,
    n_embd: sizes.hidden,
    n_layer: sizes.layers,
    n_head: sizes.heads,
    n_inner: sizes.intermediate,
    resid_pdrop: sizes.dropout,
    embd_pdrop: sizes.dropout,
    attn_pdrop: sizes.dropout,
    initializer_range: sizes.initializerRange,
  }),
  targets: {
    lora: ["c_attn"],
    ia3: ["c_attn", "mlp.c_proj"],
    ia3Feedforward: ["mlp.c_proj"],
    vera: ["c_attn"],
    adalora: ["c_attn"],
  },
  parts: { attention: ["attn\\.c_(attn|proj)"], ffn: ["mlp\\.c_(fc|proj)"] },
  inputEmbeddings: ["wte"],
  outputEmbeddings: ["lm_head"],
  slicedTables: ["wpe"],
  // a key's bias has no gradient, but here it is a third of c_attn's
  gradientFree: [],
  // causal masks
  buffers: ["attn.bias", "attn.masked_bias"],
  heads: { SEQ_CLS: ["score"] },
};
