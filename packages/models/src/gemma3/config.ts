/** Gemma 3's configuration (text), checked and with transformers' defaults filled in. */
import { positive, size } from "@lowrank/tensor/check";
import {
  attentionBias,
  DECODER_TABLE,
  llamaFileAs,
  parseLlamaAs,
  type LlamaConfig,
  type LlamaValues,
} from "../llama/config.ts";
import { readRope, ropeParameters, type RopeConfig, type RopePlace } from "../llama/rope-config.ts";
import { layerTypesKey, layerTypesOf, type LayerType } from "../llama/windows.ts";
import { orNull } from "../shared/config-rules.ts";
import { key, type ConfigKey, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export interface Gemma3Config extends LlamaConfig {
  /** Scores are divided by its root. */
  readonly queryPreAttnScalar: number;
  /** How many tokens one sees, itself included, in layers of type sliding_attention. */
  readonly slidingWindow: number | null;
  readonly layerTypes: readonly LayerType[];
  /** Rotary options of layers with a window; `rope` has those of the others. */
  readonly localRope: RopeConfig;
}

interface Gemma3Values extends LlamaValues {
  readonly queryPreAttnScalar: number;
  readonly slidingWindow: number | null;
  readonly layerTypes: readonly LayerType[] | null;
}

const { keys } = DECODER_TABLE;
/** transformers' own defaults, which are no published model's. */
export const GEMMA3_TABLE: ConfigTable<Gemma3Values> = {
  ...DECODER_TABLE,
  parser: "parseGemma3Config",
  keys: {
    ...keys,
    vocabSize: { ...keys.vocabSize, fallback: 262208 },
    hiddenSize: { ...keys.hiddenSize, fallback: 2304 },
    intermediateSize: { ...keys.intermediateSize, fallback: 9216 },
    numHiddenLayers: { ...keys.numHiddenLayers, fallback: 26 },
    numAttentionHeads: { ...keys.numAttentionHeads, fallback: 8 },
    numKeyValueHeads: { ...keys.numKeyValueHeads, fallback: 4 },
    headDim: { ...keys.headDim, fallback: 256 },
    hiddenAct: { ...keys.hiddenAct, key: "hidden_activation", fallback: "gelu_pytorch_tanh" },
    maxPositionEmbeddings: { ...keys.maxPositionEmbeddings, fallback: 131072 },
    padTokenId: { ...keys.padTokenId, fallback: 0 },
    tieWordEmbeddings: { ...keys.tieWordEmbeddings, fallback: true },
    attentionBias,
    queryPreAttnScalar: key("query_pre_attn_scalar", positive, 256),
    slidingWindow: key("sliding_window", orNull(size), 4096),
    layerTypes: layerTypesKey,
  },
  functions: { attn_logit_softcapping: null, final_logit_softcapping: null, use_bidirectional_attention: false },
  harmless: [
    ...DECODER_TABLE.harmless,
    "rope_local_base_freq",
    "sliding_window_pattern",
    "_sliding_window_pattern",
    "cache_implementation",
  ],
  harmlessFloats: [...(DECODER_TABLE.harmlessFloats ?? []), "rope_local_base_freq"],
};

const GLOBAL: RopePlace = { layers: "full_attention", thetaKey: "rope_theta", theta: 1e6, scaled: true };
const LOCAL: RopePlace = { layers: "sliding_attention", thetaKey: "rope_local_base_freq", theta: 1e4, scaled: false };

/** Every so many layers one sees everything, in files without `layer_types`. */
const PATTERN: ConfigKey<number> = key("sliding_window_pattern", size, 6);

function patternOf(source: ConfigSource): number {
  const value = source[PATTERN.key];
  return value === undefined || value === null
    ? PATTERN.fallback
    : PATTERN.rule.read(value, { source: "config.json", path: [PATTERN.key], code: "FormatError" });
}

export function parseGemma3Config(source: ConfigSource, overrides: ConfigOverrides = {}): Gemma3Config {
  const config = parseLlamaAs(GEMMA3_TABLE, source, overrides, GLOBAL);
  const { rope: localRope, notBuilt } = readRope(source, config.maxPositionEmbeddings, LOCAL);
  const pattern = patternOf(source);
  return {
    ...config,
    localRope,
    layerTypes: layerTypesOf(
      config.layerTypes,
      config.numHiddenLayers,
      config.slidingWindow,
      (layer) => (layer + 1) % pattern !== 0,
    ),
    notBuilt: [...new Set([...config.notBuilt, ...notBuilt])],
  };
}

export function gemma3ConfigFile(config: Gemma3Config, architecture: string): Record<string, unknown> {
  const { rope, localRope } = config;
  return {
    ...llamaFileAs(GEMMA3_TABLE, config, "gemma3_text", architecture),
    rope_local_base_freq: localRope.theta,
    rope_parameters: { full_attention: ropeParameters(rope), sliding_attention: ropeParameters(localRope) },
  };
}
