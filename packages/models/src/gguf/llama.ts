/** Llama, SmolLM and whatever else llama.cpp calls "llama". Source: conversion/llama.py of llama.cpp. */
import { LowrankError, type TensorSource } from "@lowrank/tensor";
import { positive, text, whole } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, renameBy, type GgufArchitecture } from "./architecture.ts";
import { ROPE_FACTORS, ropeScalingOf } from "./rope-factors.ts";
import { decoderSizes, readOne, tokenIds, type GgufMetadata } from "./metadata.ts";

function config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource {
  const sizes = decoderSizes(metadata, "llama");
  const experts = readOne(metadata, "llama.expert_count", whole(0));
  if ((experts ?? 0) > 0)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: "llama.expert_count" is ${experts}; mixtures of experts are not built`,
    );
  const rope = { rope_theta: sizes.ropeTheta ?? 10000, ...scaling(metadata) };
  const turned = sizes.rotaryDims ?? sizes.headDim;
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: tensors.info("token_embd.weight").shape[0],
    hidden_size: sizes.hiddenSize,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    max_position_embeddings: sizes.positions,
    rms_norm_eps: sizes.normEps,
    ...rope,
    ...(turned === sizes.headDim ? {} : { partial_rotary_factor: turned / sizes.headDim }),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    mlp_bias: tensors.has("blk.0.ffn_gate.bias"),
    tie_word_embeddings: !tensors.has("output.weight"),
    ...tokenIds(metadata),
  };
}

/** `rope.scaling.*` as `rope_scaling`. */
function scaling(metadata: GgufMetadata): ConfigSource {
  const kind = readOne(metadata, "llama.rope.scaling.type", text) ?? "none";
  if (kind === "none") return {};
  const factor = readOne(metadata, "llama.rope.scaling.factor", positive);
  const original = readOne(metadata, "llama.rope.scaling.original_context_length", whole(1));
  return {
    rope_scaling: {
      rope_type: kind,
      ...(factor === undefined ? {} : { factor }),
      ...(original === undefined ? {} : { original_max_position_embeddings: original }),
    },
  };
}

const PAIRED = /^blk\.\d+\.attn_([qk])\.(?:weight|bias)$/;

export const llama: GgufArchitecture = {
  name: "llama",
  config,
  async complete(config, tensors) {
    return tensors.has(ROPE_FACTORS) ? { ...config, rope_scaling: await ropeScalingOf(tensors, config) } : config;
  },
  rename: renameBy(LLAMA_NAMES),
  pairedHeads(name, { num_attention_heads: heads, num_key_value_heads: keyValueHeads }) {
    const which = PAIRED.exec(name)?.[1];
    return which === undefined ? undefined : ((which === "q" ? heads : keyValueHeads) as number);
  },
};
