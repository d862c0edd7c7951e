/** What a GGUF architecture is in Hugging Face's words: its `config.json`, and the names and order of its tensors. */
import type { TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import type { GgufMetadata } from "./metadata.ts";

export interface GgufArchitecture {
  /** `general.architecture`. */
  readonly name: string;
  /** What stands in `config.json`. @throws LowrankError naming a key that is missing or of another kind, or what is not built */
  config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource;
  /** A tensor by Hugging Face's name; undefined for what is no weight of the model. */
  rename(name: string): string | undefined;
  /** Heads whose rows a tensor (by the file's name) has in pairs: (0, d/2), (1, d/2 + 1), … where Hugging Face has 0, 1, …; undefined where it has not. */
  pairedHeads?(name: string, config: ConfigSource): number | undefined;
  /** What Hugging Face's tensor has less than the file's, by the file's name. */
  offset?(name: string): number;
}

/** Names of the layers that Llama's descendants have, by GGUF's; those of the family's own beside. */
export const LLAMA_NAMES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const OUTER: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

/** `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`, with names of a block's parts. */
export function renameBy(parts: Readonly<Record<string, string>>): (name: string) => string | undefined {
  return (name) => {
    if (Object.hasOwn(OUTER, name)) return OUTER[name];
    const [, layer, part = "", what] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
    return Object.hasOwn(parts, part) ? `model.layers.${layer}.${parts[part]}.${what}` : undefined;
  };
}
