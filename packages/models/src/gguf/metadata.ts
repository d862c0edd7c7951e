/** Values of a GGUF header as the program takes them: by key, of the kind that is wanted, or one line that names the key. */
import { FormatError, quote } from "@lowrank/tensor";
import { checkFile, fields, optional, positive, size, text, whole, type Rule } from "@lowrank/tensor/check";
import type { GgufValue } from "./values.ts";

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
  const of = <T>(key: string, rule: Rule<T>): T => {
    const full = `${name}.${key}`;
    return read<Record<string, T>>(metadata, { [full]: rule })[full]!;
  };
  const hiddenSize = of("embedding_length", size);
  const heads = of("attention.head_count", size);
  const headDim = of("attention.key_length", optional(size)) ?? hiddenSize / heads;
  const values = of("attention.value_length", optional(size)) ?? headDim;
  if (values !== headDim)
    throw new FormatError(
      `GGUF metadata: ${quote(`${name}.attention.value_length`)} is ${values} and key_length ${headDim}; only equal ones are built`,
    );
  return {
    hiddenSize,
    intermediateSize: of("feed_forward_length", size),
    layers: of("block_count", whole(1, 65_536)),
    heads,
    keyValueHeads: of("attention.head_count_kv", optional(size)) ?? heads,
    headDim,
    positions: of("context_length", size),
    normEps: of("attention.layer_norm_rms_epsilon", positive),
    ropeTheta: of("rope.freq_base", optional(positive)),
    rotaryDims: of("rope.dimension_count", optional(size)),
  };
}

const id = whole(0, 2 ** 31);

/** Ids of the tokens that a configuration names; what the file does not say is left out. */
export function tokenIds(metadata: GgufMetadata): Record<string, number> {
  const names = { bos: "bos_token_id", eos: "eos_token_id", padding: "pad_token_id" };
  return Object.fromEntries(
    Object.entries(names).flatMap(([ours, theirs]) => {
      const found = readOne(metadata, `tokenizer.ggml.${ours}_token_id`, id);
      return found === undefined ? [] : [[theirs, found] as const];
    }),
  );
}
