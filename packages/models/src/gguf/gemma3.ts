/** Gemma 3 (text). Its norms are stored with 1 added, its rows as they are. What the file does not say is transformers' default. */
import type { TensorSource } from "@lowrank/tensor";
import { positive, whole } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, blockNames, type GgufArchitecture } from "./architecture.ts";
import { decoderConfig, decoderEntries, unsaid } from "./decoder.ts";
import { decoderSizes, readOne, type GgufMetadata } from "./metadata.ts";
import type { GgufTyped } from "./values.ts";

/** Every sixth layer sees all tokens, the others a window; these turn by a base of their own. Older files say neither. */
const PATTERN = 6;
const LOCAL_THETA = 10_000;
/** The largest one scales its scores by what each head has of the hidden size, the others by the heads' own. Source: llama.cpp, `llm_build_gemma3`. */
const LARGEST_LAYERS = 62;
const WINDOW = "attention.sliding_window";
const EVERY = "attention.sliding_window_pattern";
const LOCAL_BASE = "rope.freq_base_swa";
const OWN = [WINDOW, EVERY, LOCAL_BASE];

const scaleOf = (layers: number, hiddenSize: number, heads: number, headDim: number): number =>
  layers === LARGEST_LAYERS ? hiddenSize / heads : headDim;
const typeOf = (layer: number, pattern: number): string =>
  (layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention";

function config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource {
  const sizes = decoderSizes(metadata, "gemma3");
  const [window, pattern, localTheta] = [
    readOne(metadata, `gemma3.${WINDOW}`, whole(1)),
    readOne(metadata, `gemma3.${EVERY}`, whole(1)) ?? PATTERN,
    readOne(metadata, `gemma3.${LOCAL_BASE}`, positive) ?? LOCAL_THETA,
  ];
  return {
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    ...decoderConfig(metadata, tensors, "gemma3", OWN),
    hidden_activation: "gelu_pytorch_tanh",
    rope_theta: sizes.ropeTheta ?? 1_000_000,
    rope_local_base_freq: localTheta,
    query_pre_attn_scalar: scaleOf(sizes.layers, sizes.hiddenSize, sizes.heads, sizes.headDim),
    ...(window === undefined ? {} : { sliding_window: window }),
    layer_types: Array.from({ length: sizes.layers }, (_, i) => typeOf(i, pattern)),
    attention_bias: false,
  };
}

function written(config: ConfigSource): [string, GgufTyped][] {
  const said = config as {
    readonly num_hidden_layers: number;
    readonly hidden_size: number;
    readonly num_attention_heads: number;
    readonly head_dim: number;
    readonly query_pre_attn_scalar: number;
    readonly sliding_window: number | null;
    readonly rope_local_base_freq: number;
    readonly layer_types: readonly string[];
  };
  const { num_hidden_layers: layers, query_pre_attn_scalar: scale, sliding_window: window } = said;
  if (scale !== scaleOf(layers, said.hidden_size, said.num_attention_heads, said.head_dim))
    throw unsaid("query_pre_attn_scalar", scale);
  if (config["attention_bias"] === true) throw unsaid("attention_bias", true);
  // without a layer that sees everything, any pattern longer than there are layers
  const first = said.layer_types.indexOf("full_attention");
  const pattern = first >= 0 ? first + 1 : Math.max(PATTERN, layers + 1);
  if (window === null || said.layer_types.some((type, i) => type !== typeOf(i, pattern)))
    throw unsaid("layer_types", said.layer_types);
  return [
    ...decoderEntries(config, "gemma3"),
    [`gemma3.${WINDOW}`, { kind: "u32", value: window }],
    ...(pattern === PATTERN ? [] : [[`gemma3.${EVERY}`, { kind: "u32", value: pattern }] as [string, GgufTyped]]),
    ...(said.rope_local_base_freq === LOCAL_THETA
      ? []
      : [[`gemma3.${LOCAL_BASE}`, { kind: "f32", value: said.rope_local_base_freq }] as [string, GgufTyped]]),
  ];
}

export const gemma3: GgufArchitecture = {
  name: "gemma3",
  modelTypes: ["gemma3_text"],
  config,
  metadata: written,
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
