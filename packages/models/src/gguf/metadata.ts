/** Values of a GGUF header as the program takes them: by key, of the kind that is wanted, or one line that names the key. */
import { FormatError, quote } from "@lowrank/tensor";
import { checkFile, fields, optional, positive, size, text, whole, type Rule } from "@lowrank/tensor/check";
import type { ConfigSource } from "../shared/config-table.ts";
import type { GgufTyped, GgufValue } from "./values.ts";

/** What of a file its metadata is read from; `GgufFile` is one. */
export interface GgufMetadata {
  readonly keys: readonly string[];
  value(key: string): GgufValue | undefined;
}

/** Values by key, each read when a rule asks for it. @throws FormatError naming the key */
export function read<T extends object>(metadata: GgufMetadata, rules: { readonly [K in keyof T]: Rule<T[K]> }): T {
  const found = Object.keys(rules).flatMap((key) => {
    const value = metadata.value(key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return checkFile("GGUF metadata", fields<T>(rules as never), Object.fromEntries(found));
}

/** One value that may be missing. */
export function readOne<T>(metadata: GgufMetadata, key: string, rule: Rule<T>): T | undefined {
  return read<Record<string, T | undefined>>(metadata, { [key]: optional(rule) })[key];
}

/** `general.architecture`. */
export function architectureName(metadata: GgufMetadata): string {
  const found = readOne(metadata, "general.architecture", text);
  if (found === undefined)
    throw new FormatError('GGUF metadata: "general.architecture" is missing: whose weights are these?');
  return found;
}

/** What all decoders say of their sizes: the key behind the architecture's name, how it is read and written, and `config.json`'s word for it. */
const SIZES = {
  positions: { key: "context_length", rule: size, kind: "u32", config: "max_position_embeddings" },
  hiddenSize: { key: "embedding_length", rule: size, kind: "u32", config: "hidden_size" },
  layers: { key: "block_count", rule: whole(1, 65_536), kind: "u32", config: "num_hidden_layers" },
  intermediateSize: { key: "feed_forward_length", rule: size, kind: "u32", config: "intermediate_size" },
  heads: { key: "attention.head_count", rule: size, kind: "u32", config: "num_attention_heads" },
  keyValueHeads: { key: "attention.head_count_kv", rule: optional(size), kind: "u32", config: "num_key_value_heads" },
  headDim: { key: "attention.key_length", rule: optional(size), kind: "u32", config: "head_dim" },
  valueDim: { key: "attention.value_length", rule: optional(size), kind: "u32", config: "head_dim" },
  normEps: { key: "attention.layer_norm_rms_epsilon", rule: positive, kind: "f32", config: "rms_norm_eps" },
  ropeTheta: { key: "rope.freq_base", rule: optional(positive), kind: "f32", config: "rope_theta" },
  rotaryDims: { key: "rope.dimension_count", rule: optional(size), kind: "u32", config: "head_dim" },
} as const;

/** Keys of sizes, without the architecture's name. */
export const SIZE_KEYS: readonly string[] = Object.values(SIZES).map(({ key }) => key);

/** What all decoders say of their sizes, under their architecture's name. */
export interface DecoderSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly positions: number;
  readonly normEps: number;
  readonly ropeTheta: number | undefined;
  readonly rotaryDims: number | undefined;
}

export function decoderSizes(metadata: GgufMetadata, name: string): DecoderSizes {
  const said = Object.fromEntries(
    Object.entries(SIZES).map(([what, { key, rule }]): [string, unknown] => {
      const full = `${name}.${key}`;
      return [what, read<Record<string, number | undefined>>(metadata, { [full]: rule })[full]];
    }),
  ) as Omit<DecoderSizes, "headDim" | "keyValueHeads"> & {
    readonly headDim?: number;
    readonly valueDim?: number;
    readonly keyValueHeads?: number;
  };
  const { valueDim, ...sizes } = said;
  const headDim = sizes.headDim ?? sizes.hiddenSize / sizes.heads;
  const values = valueDim ?? headDim;
  if (values !== headDim)
    throw new FormatError(
      `GGUF metadata: ${quote(`${name}.attention.value_length`)} is ${values} and key_length ${headDim}; only equal ones are built`,
    );
  return { ...sizes, headDim, keyValueHeads: sizes.keyValueHeads ?? sizes.heads };
}

/** The same the other way: sizes of a complete `config.json` under their keys. */
export function sizeEntries(config: ConfigSource, name: string): [string, GgufTyped][] {
  return Object.values(SIZES).map(({ key, kind, config: word }) => [
    `${name}.${key}`,
    { kind, value: config[word] as number },
  ]);
}

const id = whole(0, 2 ** 31);

/** Roles of tokens: GGUF's word, and Hugging Face's. */
export const TOKEN_ROLES: Readonly<Record<string, string>> = { bos: "bos", eos: "eos", padding: "pad" };

/** Ids of the tokens that a configuration names; what the file does not say is left out. */
export function tokenIds(metadata: GgufMetadata): Record<string, number> {
  return Object.fromEntries(
    Object.entries(TOKEN_ROLES).flatMap(([ours, theirs]) => {
      const found = readOne(metadata, `tokenizer.ggml.${ours}_token_id`, id);
      return found === undefined ? [] : [[`${theirs}_token_id`, found] as const];
    }),
  );
}
