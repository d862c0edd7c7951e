/** What a GGUF architecture is in Hugging Face's words, both ways: its `config.json`, and the names and order of its tensors. */
import type { TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import type { GgufMetadata } from "./metadata.ts";
import type { GgufTyped } from "./values.ts";

export interface GgufArchitecture {
  /** `general.architecture`. */
  readonly name: string;
  /** What stands in `config.json`. @throws LowrankError naming a key that is missing or of another kind, or what is not built */
  config(metadata: GgufMetadata, tensors: Pick<TensorSource, "has" | "info">): ConfigSource;
  /** Families of `config.json` (`model_type`) whose models are written as this. */
  readonly modelTypes: readonly string[];
  /**
   * Metadata of a model whose `config.json` says this, complete as a model's own is; `rope_freqs.weight` is apart.
   * @throws LowrankError (NotBuiltError) naming a key that llama.cpp's files have no word for
   */
  metadata(config: ConfigSource): readonly (readonly [string, GgufTyped])[];
  readonly names: TensorNames;
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

/** Names of tensors, in both directions; undefined for what is no weight of the model. */
export interface TensorNames {
  /** Hugging Face's name of a tensor of a file. */
  read(stored: string): string | undefined;
  /** The name in a file of a weight, or of a module: that of its weight. */
  written(name: string): string | undefined;
}

/** `blk.3.attn_q.weight` ↔ `model.layers.3.self_attn.q_proj.weight`, with names of a block's parts. */
export function blockNames(parts: Readonly<Record<string, string>>): TensorNames {
  const outer = new Map(Object.entries(OUTER).map(([stored, name]) => [name, stored]));
  const inner = new Map(Object.entries(parts).map(([part, name]) => [name, part]));
  return {
    read(stored) {
      if (Object.hasOwn(OUTER, stored)) return OUTER[stored];
      const [, layer, part = "", what] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(stored) ?? [];
      return Object.hasOwn(parts, part) ? `model.layers.${layer}.${parts[part]}.${what}` : undefined;
    },
    written(name) {
      const full = /\.(weight|bias)$/.test(name) ? name : `${name}.weight`;
      const found = outer.get(full);
      if (found !== undefined) return found;
      const [, layer, module = "", what] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(full) ?? [];
      const part = inner.get(module);
      return part === undefined ? undefined : `blk.${layer}.${part}.${what}`;
    },
  };
}
