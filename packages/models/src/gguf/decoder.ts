/** What a file says of any decoder of Llama's kind, as `config.json` has it, and which of its keys nobody here understands. */
import { LowrankError, quote, type TensorSource } from "@lowrank/tensor";
import { flag, positive, text, whole, type Rule } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import { decoderSizes, readOne, SIZE_KEYS, sizeEntries, tokenIds, type GgufMetadata } from "./metadata.ts";
import { LLAMA3 } from "./rope-factors.ts";
import type { GgufTyped } from "./values.ts";

/** llama.cpp's own default. */
const THETA = 10_000;

/** Keys that are read here, without the architecture's name. */
const READ: readonly string[] = [...SIZE_KEYS, "rope.scaling.type"];
/** Options of scaled rotary angles: `rope.scaling.*`, and `rope_scaling`'s words. */
const SCALING = {
  factor: { key: "factor", rule: positive, kind: "f32" },
  original_max_position_embeddings: { key: "original_context_length", rule: whole(1), kind: "u32" },
  beta_fast: { key: "yarn_beta_fast", rule: positive, kind: "f32" },
  beta_slow: { key: "yarn_beta_slow", rule: positive, kind: "f32" },
} as const;
/** Kinds of scaling that metadata say; Llama 3's is a tensor (`rope-factors.ts`). */
const SCALED = ["linear", "yarn"];

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
  const scaled = Object.values(SCALING).map(({ key }) => `rope.scaling.${key}`);
  const known = new Set([...READ, ...scaled, ...HARMLESS, ...own]);
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
  const options = Object.fromEntries(
    Object.entries(SCALING).map(([word, { key, rule }]) => [word, readOne<number>(metadata, at(key), rule)]),
  );
  const said = Object.entries(options).filter(([, value]) => value !== undefined);
  return { rope_scaling: { rope_type: kind, ...Object.fromEntries(said) } };
}

/**
 * The same the other way: what a complete `config.json` comes to, and what of it no file can say.
 * @throws LowrankError (NotBuiltError) naming the key of `config.json`
 */
export function decoderEntries(config: ConfigSource, name: string): [string, GgufTyped][] {
  return [
    ...sizeEntries(config, name),
    [`${name}.vocab_size`, { kind: "u32", value: config["vocab_size"] as number }],
    ...scalingEntries(config["rope_scaling"] as ConfigSource | undefined, name),
  ];
}

function scalingEntries(scaling: ConfigSource | undefined, name: string): [string, GgufTyped][] {
  const { rope_type: kind, ...options } = scaling ?? {};
  if (kind === undefined || kind === LLAMA3) return [];
  const strange = Object.keys(options).find((word) => !Object.hasOwn(SCALING, word) && options[word] !== null);
  if (!SCALED.includes(kind as string) || strange !== undefined)
    throw unsaid(`rope_scaling.${strange ?? "rope_type"}`, strange === undefined ? kind : options[strange]);
  const said = Object.entries(SCALING).filter(([word]) => typeof options[word] === "number");
  return [
    [`${name}.rope.scaling.type`, { kind: "string", value: kind as string }],
    ...said.map(([word, { key, kind: as }]): [string, GgufTyped] => [
      `${name}.rope.scaling.${key}`,
      { kind: as, value: options[word] as number },
    ]),
  ];
}

/** What a GGUF file has no word for. */
export function unsaid(key: string, value: unknown): LowrankError {
  return new LowrankError(
    "NotBuiltError",
    `GGUF: config.json's "${key}" is ${quote(value)}, which llama.cpp's files cannot say; export to Hugging Face's form instead`,
  );
}
