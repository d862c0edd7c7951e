/** Gemma 3 (text). Its norms are stored with 1 added, its rows as they are. What the file does not say is transformers' default. */
import type { TensorSource } from "@lowrank/tensor";
import { positive, whole } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, blockNames, type GgufArchitecture } from "./architecture.ts";
import { decoderConfig } from "./decoder.ts";
import { decoderSizes, readOne, type GgufMetadata } from "./metadata.ts";

/** Every sixth layer sees all tokens, the others a window; these turn by a base of their own. Older files say neither. */
const PATTERN = 6;
const LOCAL_THETA = 10_000;
/** The largest one scales its scores by what each head has of the hidden size, the others by the heads' own. Source: llama.cpp, `llm_build_gemma3`. */
const LARGEST_LAYERS = 62;
const WINDOW = "attention.sliding_window";
const OWN = [WINDOW, "attention.sliding_window_pattern", "rope.freq_base_swa"];

function config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource {
  const sizes = decoderSizes(metadata, "gemma3");
  const [window, pattern, localTheta] = [
    readOne(metadata, `gemma3.${WINDOW}`, whole(1)),
    readOne(metadata, "gemma3.attention.sliding_window_pattern", whole(1)) ?? PATTERN,
    readOne(metadata, "gemma3.rope.freq_base_swa", positive) ?? LOCAL_THETA,
  ];
  return {
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    ...decoderConfig(metadata, tensors, "gemma3", OWN),
    hidden_activation: "gelu_pytorch_tanh",
    rope_theta: sizes.ropeTheta ?? 1_000_000,
    rope_local_base_freq: localTheta,
    query_pre_attn_scalar: sizes.layers === LARGEST_LAYERS ? sizes.hiddenSize / sizes.heads : sizes.headDim,
    ...(window === undefined ? {} : { sliding_window: window }),
    layer_types: Array.from({ length: sizes.layers }, (_, i) =>
      (i + 1) % pattern === 0 ? "full_attention" : "sliding_attention",
    ),
    attention_bias: false,
  };
}

export const gemma3: GgufArchitecture = {
  name: "gemma3",
  config,
  names: blockNames({
    ...LLAMA_NAMES,
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  }),
  offset: (name) => (name.endsWith("norm.weight") ? 1 : 0),
};
