/** Mistral's configuration, checked and with transformers' defaults filled in. */
import { size } from "@lowrank/tensor/check";
import { DECODER_TABLE, llamaFileAs, parseLlamaAs, type LlamaConfig, type LlamaValues } from "../llama/config.ts";
import { layerTypesKey, layerTypesOf, type LayerType } from "../llama/windows.ts";
import { orNull } from "../shared/config-rules.ts";
import { key, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export interface MistralConfig extends LlamaConfig {
  /** How many tokens one sees, itself included, in layers of type sliding_attention. Null: all before it. */
  readonly slidingWindow: number | null;
  /** A file that says them is a Ministral in transformers, which is a Mistral with windows in some layers. */
  readonly layerTypes: readonly LayerType[];
}

interface MistralValues extends LlamaValues {
  readonly slidingWindow: number | null;
  readonly layerTypes: readonly LayerType[] | null;
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
    layerTypes: layerTypesKey,
  },
};

export function parseMistralConfig(source: ConfigSource, overrides: ConfigOverrides = {}): MistralConfig {
  const config = parseLlamaAs(MISTRAL_TABLE, source, overrides);
  const { layerTypes, numHiddenLayers, slidingWindow } = config;
  return {
    ...config,
    layerTypes: layerTypesOf(layerTypes, numHiddenLayers, slidingWindow, () => slidingWindow !== null),
  };
}

export function mistralConfigFile(config: MistralConfig, architecture: string): Record<string, unknown> {
  const { layer_types: types, ...file } = llamaFileAs(MISTRAL_TABLE, config, "mistral", architecture);
  const usual = config.slidingWindow === null ? "full_attention" : "sliding_attention";
  // the key alone, even null, makes transformers take another class
  return config.layerTypes.every((type) => type === usual) ? file : { ...file, layer_types: types };
}
