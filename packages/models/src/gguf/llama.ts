/** Llama, SmolLM, Mistral and whatever else llama.cpp calls "llama". Source: conversion/llama.py of llama.cpp. */
import { LowrankError, type TensorSource } from "@lowrank/tensor";
import { whole } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { LLAMA_NAMES, blockNames, type GgufArchitecture } from "./architecture.ts";
import { decoderConfig, decoderEntries, unsaid } from "./decoder.ts";
import { readOne, type GgufMetadata } from "./metadata.ts";
import type { GgufTyped } from "./values.ts";

const WINDOW = "attention.sliding_window";

function config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource {
  const said = decoderConfig(metadata, tensors, "llama", [WINDOW]);
  const [attention, mlp] = [tensors.has("blk.0.attn_q.bias"), tensors.has("blk.0.ffn_gate.bias")];
  const window = readOne(metadata, `llama.${WINDOW}`, whole(0)) ?? 0;
  if (window === 0)
    return {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      ...said,
      attention_bias: attention,
      mlp_bias: mlp,
    };
  if (attention || mlp)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: "llama.${WINDOW}" is ${window}; a window beside biases is not built`,
    );
  return { architectures: ["MistralForCausalLM"], model_type: "mistral", ...said, sliding_window: window };
}

/** llama.cpp knows no layers of two kinds here; a window that none of them has is no window. */
function metadata(config: ConfigSource): [string, GgufTyped][] {
  const types = new Set((config["layer_types"] ?? []) as readonly string[]);
  if (types.size > 1) throw unsaid("layer_types", [...types]);
  const window = types.has("full_attention") ? null : (config["sliding_window"] ?? null);
  return [
    ...decoderEntries(config, "llama"),
    ...(window === null ? [] : [[`llama.${WINDOW}`, { kind: "u32", value: window as number }] as [string, GgufTyped]]),
  ];
}

const PAIRED = /^blk\.\d+\.attn_([qk])\.(?:weight|bias)$/;

export const llama: GgufArchitecture = {
  name: "llama",
  modelTypes: ["llama", "mistral"],
  config,
  metadata,
  names: blockNames(LLAMA_NAMES),
  pairedHeads(name, { num_attention_heads: heads, num_key_value_heads: keyValueHeads }) {
    const which = PAIRED.exec(name)?.[1];
    return which === undefined ? undefined : ((which === "q" ? heads : keyValueHeads) as number);
  },
};
