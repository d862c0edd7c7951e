/** Gemma 3 (text). Its norms are stored with 1 added, its rows as they are. What the file does not say is transformers' default. */
import type { TensorSource } from "@lowrank/tensor";
import { whole } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, renameBy, type GgufArchitecture } from "./architecture.ts";
import { decoderSizes, readOne, tokenIds, type GgufMetadata } from "./metadata.ts";

/** Every sixth layer sees all tokens, the others a window; these turn by a base of their own, which no file says. */
const PATTERN = 6;
const LOCAL_THETA = 10_000;
/** The largest one scales its scores by what each head has of the hidden size, the others by the heads' own. Source: llama.cpp, `llm_build_gemma3`. */
const LARGEST_LAYERS = 62;

function config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource {
  const sizes = decoderSizes(metadata, "gemma3");
  const window = readOne(metadata, "gemma3.attention.sliding_window", whole(1));
  return {
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    vocab_size: tensors.info("token_embd.weight").shape[0],
    hidden_size: sizes.hiddenSize,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    hidden_activation: "gelu_pytorch_tanh",
    max_position_embeddings: sizes.positions,
    rms_norm_eps: sizes.normEps,
    rope_theta: sizes.ropeTheta ?? 1_000_000,
    rope_local_base_freq: LOCAL_THETA,
    query_pre_attn_scalar: sizes.layers === LARGEST_LAYERS ? sizes.hiddenSize / sizes.heads : sizes.headDim,
    ...(window === undefined ? {} : { sliding_window: window }),
    layer_types: Array.from({ length: sizes.layers }, (_, i) =>
      (i + 1) % PATTERN === 0 ? "full_attention" : "sliding_attention",
    ),
    attention_bias: false,
    tie_word_embeddings: !tensors.has("output.weight"),
    ...tokenIds(metadata),
  };
}

export const gemma3: GgufArchitecture = {
  name: "gemma3",
  config,
  rename: renameBy({
    ...LLAMA_NAMES,
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  }),
  offset: (name) => (name.endsWith("norm.weight") ? 1 : 0),
};
