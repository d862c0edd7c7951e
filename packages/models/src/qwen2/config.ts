/** Qwen 2's configuration, checked and with transformers' defaults filled in. */
import { size, whole } from "@lowrank/tensor/check";
import { DECODER_TABLE, llamaFileAs, parseLlamaAs, type LlamaConfig, type LlamaValues } from "../llama/config.ts";
import type { LayerVariant } from "../llama/variant.ts";
import { layerTypesKey, layerTypesOf, type LayerType } from "../llama/windows.ts";
import { flag, orNull } from "../shared/config-rules.ts";
import { key, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export interface Qwen2Config extends LlamaConfig {
  /** How many tokens one sees, itself included, in layers of type sliding_attention. */
  readonly slidingWindow: number | null;
  readonly useSlidingWindow: boolean;
  readonly maxWindowLayers: number;
  readonly layerTypes: readonly LayerType[];
}

export interface Qwen2Values extends LlamaValues {
  readonly slidingWindow: number | null;
  /** Without it `sliding_window` counts for nothing. */
  readonly useSlidingWindow: boolean;
  /** The first layer with the window, in files without `layer_types`. */
  readonly maxWindowLayers: number;
  readonly layerTypes: readonly LayerType[] | null;
}

const { keys } = DECODER_TABLE;
/** Defaults are Qwen2-7B's. */
export const QWEN2_TABLE: ConfigTable<Qwen2Values> = {
  ...DECODER_TABLE,
  parser: "parseQwen2Config",
  keys: {
    ...keys,
    vocabSize: { ...keys.vocabSize, fallback: 151936 },
    intermediateSize: { ...keys.intermediateSize, fallback: 22016 },
    numKeyValueHeads: { ...keys.numKeyValueHeads, fallback: 32 },
    maxPositionEmbeddings: { ...keys.maxPositionEmbeddings, fallback: 32768 },
    slidingWindow: key("sliding_window", orNull(size), 4096),
    useSlidingWindow: key("use_sliding_window", flag, false),
    maxWindowLayers: key("max_window_layers", whole(0), 28),
    layerTypes: layerTypesKey,
  },
};

export function parseQwen2Config(source: ConfigSource, overrides: ConfigOverrides = {}): Qwen2Config {
  return parseQwenAs(QWEN2_TABLE, source, overrides);
}

/** For families whose files have Qwen 2's keys. */
export function parseQwenAs(
  table: ConfigTable<Qwen2Values>,
  source: ConfigSource,
  overrides: ConfigOverrides,
): Qwen2Config {
  const config = parseLlamaAs(table, source, overrides);
  const window = config.useSlidingWindow ? config.slidingWindow : null;
  return {
    ...config,
    layerTypes: layerTypesOf(
      config.layerTypes,
      config.numHiddenLayers,
      window,
      (layer) => window !== null && layer >= config.maxWindowLayers,
    ),
  };
}

/** A layer's window. */
export function qwenLayer({ layerTypes, useSlidingWindow, slidingWindow }: Qwen2Config, layer: number): LayerVariant {
  const slides = useSlidingWindow && layerTypes[layer] === "sliding_attention";
  return { window: slides ? (slidingWindow ?? undefined) : undefined };
}

export function qwen2ConfigFile(config: Qwen2Config, architecture: string): Record<string, unknown> {
  return llamaFileAs(QWEN2_TABLE, config, "qwen2", architecture);
}
