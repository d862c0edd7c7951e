/** What a file says of any decoder of Llama's kind, as `config.json` has it, and which of its keys nobody here understands. */
import { LowrankError, quote, type TensorSource } from "@lowrank/tensor";
import { flag, positive, text, whole, type Rule } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { decoderSizes, readOne, tokenIds, type GgufMetadata } from "./metadata.ts";

/** llama.cpp's own default. */
const THETA = 10_000;

/** Keys that are read here, without the architecture's name. */
const READ: readonly string[] = [
  "embedding_length",
  "feed_forward_length",
  "block_count",
  "context_length",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
  "attention.layer_norm_rms_epsilon",
  "rope.freq_base",
  "rope.dimension_count",
  "rope.scaling.type",
  "rope.scaling.factor",
  "rope.scaling.original_context_length",
  "rope.scaling.yarn_beta_fast",
  "rope.scaling.yarn_beta_slow",
];

/** Keys that change nothing: what a file was made from, and what its tensors say as well. */
const HARMLESS: readonly string[] = ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned", "expert_used_count"];

/** Keys that are built with one value only. */
const FIXED: Readonly<Record<string, { readonly rule: Rule<number | boolean>; readonly value: number | boolean }>> = {
  expert_count: { rule: whole(0), value: 0 },
  use_parallel_residual: { rule: flag, value: false },
  "attention.causal": { rule: flag, value: true },
};

/**
 * @param name the architecture's
 * @param own keys that it reads besides
 * @throws LowrankError FormatError where a key is missing or of another kind, NotBuiltError where one would change what is computed and is not understood
 */
export function decoderConfig(
  metadata: GgufMetadata,
  tensors: Pick<TensorSource, "has" | "info">,
  name: string,
  own: readonly string[] = [],
): ConfigSource {
  refuseOthers(metadata, name, own);
  const sizes = decoderSizes(metadata, name);
  const turned = sizes.rotaryDims ?? sizes.headDim;
  return {
    vocab_size: tensors.info("token_embd.weight").shape[0],
    hidden_size: sizes.hiddenSize,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    max_position_embeddings: sizes.positions,
    rms_norm_eps: sizes.normEps,
    rope_theta: sizes.ropeTheta ?? THETA,
    ...scaling(metadata, name),
    ...(turned === sizes.headDim ? {} : { partial_rotary_factor: turned / sizes.headDim }),
    tie_word_embeddings: !tensors.has("output.weight"),
    ...tokenIds(metadata),
  };
}

function refuseOthers(metadata: GgufMetadata, name: string, own: readonly string[]): void {
  const prefix = `${name}.`;
  const known = new Set([...READ, ...HARMLESS, ...own]);
  for (const key of metadata.keys.filter((k) => k.startsWith(prefix))) {
    const part = key.slice(prefix.length);
    const fixed = Object.hasOwn(FIXED, part) ? FIXED[part] : undefined;
    if (fixed === undefined ? known.has(part) : readOne(metadata, key, fixed.rule) === fixed.value) continue;
    throw new LowrankError(
      "NotBuiltError",
      fixed === undefined
        ? `GGUF: ${quote(key)} is not built, and would change what ${name} computes`
        : `GGUF: ${quote(key)} must be ${fixed.value}; nothing else is built`,
    );
  }
}

/** `rope.scaling.*` as `rope_scaling`. */
function scaling(metadata: GgufMetadata, name: string): ConfigSource {
  const at = (key: string): string => `${name}.rope.scaling.${key}`;
  const kind = readOne(metadata, at("type"), text) ?? "none";
  if (kind === "none") return {};
  const options = {
    factor: readOne(metadata, at("factor"), positive),
    original_max_position_embeddings: readOne(metadata, at("original_context_length"), whole(1)),
    beta_fast: readOne(metadata, at("yarn_beta_fast"), positive),
    beta_slow: readOne(metadata, at("yarn_beta_slow"), positive),
  };
  const said = Object.entries(options).filter(([, value]) => value !== undefined);
  return { rope_scaling: { rope_type: kind, ...Object.fromEntries(said) } };
}
