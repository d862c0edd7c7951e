/** Mistral's configuration, checked and with transformers' defaults filled in. */
import { size } from "@lowrank/tensor/check";
import { DECODER_TABLE, llamaFileAs, parseLlamaAs, type LlamaConfig, type LlamaValues } from "../llama/config.ts";
import { orNull } from "../shared/config-rules.ts";
import { key, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export interface MistralConfig extends LlamaConfig {
  /** How many tokens one sees, itself included. Null: all before it. */
  readonly slidingWindow: number | null;
}

interface MistralValues extends LlamaValues {
  readonly slidingWindow: number | null;
}

const { keys } = DECODER_TABLE;
/** Defaults are Mistral-7B-v0.1's. */
export const MISTRAL_TABLE: ConfigTable<MistralValues> = {
  ...DECODER_TABLE,
  parser: "parseMistralConfig",
  keys: {
    ...keys,
    intermediateSize: { ...keys.intermediateSize, fallback: 14336 },
    numKeyValueHeads: { ...keys.numKeyValueHeads, fallback: 8 },
    maxPositionEmbeddings: { ...keys.maxPositionEmbeddings, fallback: 131072 },
    slidingWindow: key("sliding_window", orNull(size), 4096),
  },
};

export function parseMistralConfig(source: ConfigSource, overrides: ConfigOverrides = {}): MistralConfig {
  return parseLlamaAs(MISTRAL_TABLE, source, overrides);
}

export function mistralConfigFile(config: MistralConfig, architecture: string): Record<string, unknown> {
  return llamaFileAs(MISTRAL_TABLE, config, "mistral", architecture);
}
