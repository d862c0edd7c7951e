/** Qwen 2 and Qwen 3 (dense). Their rows of queries and keys are as Hugging Face has them; no file keeps a window. Source: conversion/qwen.py of llama.cpp. */
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, blockNames, type GgufArchitecture } from "./architecture.ts";
import { decoderConfig, decoderEntries, unsaid } from "./decoder.ts";
import type { GgufTyped } from "./values.ts";

function withoutWindows(config: ConfigSource, name: string): [string, GgufTyped][] {
  const types = (config["layer_types"] ?? []) as readonly string[];
  if (types.includes("sliding_attention")) throw unsaid("layer_types", "sliding_attention");
  return decoderEntries(config, name);
}

export const qwen2: GgufArchitecture = {
  name: "qwen2",
  modelTypes: ["qwen2"],
  metadata: (config) => withoutWindows(config, "qwen2"),
  config: (metadata, tensors) => ({
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    ...decoderConfig(metadata, tensors, "qwen2"),
  }),
  names: blockNames(LLAMA_NAMES),
};

export const qwen3: GgufArchitecture = {
  name: "qwen3",
  modelTypes: ["qwen3"],
  metadata(config) {
    // llama.cpp reads none of them
    if (config["attention_bias"] === true) throw unsaid("attention_bias", true);
    return withoutWindows(config, "qwen3");
  },
  config: (metadata, tensors) => ({
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    ...decoderConfig(metadata, tensors, "qwen3"),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
  }),
  names: blockNames({ ...LLAMA_NAMES, attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" }),
};
