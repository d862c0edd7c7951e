/** Llama's configuration, checked and with transformers' defaults filled in. */
import { positive, size } from "@lowrank/tensor/check";
import { activationName, depth, flag, orNull, probability, spread, tokenId } from "../shared/config-rules.ts";
import { floatKey, key, type ConfigKey, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import {
  builtActivation,
  checkHeads,
  presentId,
  readBase,
  writeBase,
  type ConfigOverrides,
  type ModelConfig,
} from "../shared/config.ts";
import { readRope, ROPE_FLOATS, writeRope, type RopeConfig, type RopePlace } from "./rope-config.ts";

export interface LlamaConfig extends ModelConfig {
  readonly intermediateSize: number;
  /** Heads of keys and values; each serves numAttentionHeads / numKeyValueHeads queries. Default: `numAttentionHeads`. */
  readonly numKeyValueHeads: number;
  /** Default: hiddenSize / numAttentionHeads. */
  readonly headDim: number;
  readonly hiddenAct: string;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Base and scaling of rotary angles, of layers that see everything where there are two kinds. */
  readonly rope: RopeConfig;
  readonly attentionDropout: number;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly padTokenId: number | undefined;
}

export interface LlamaValues {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number | null;
  readonly headDim: number | null;
  readonly hiddenAct: string;
  readonly maxPositionEmbeddings: number;
  readonly initializerRange: number;
  readonly rmsNormEps: number;
  readonly attentionDropout: number | null;
  /** Not every family has the keys of biases. */
  readonly attentionBias?: boolean;
  readonly mlpBias?: boolean;
  readonly padTokenId: number | null;
  readonly tieWordEmbeddings: boolean;
}

/** What the tables of Llama and of the families that follow it have in common. */
export const DECODER_TABLE: Omit<ConfigTable<Omit<LlamaValues, "attentionBias" | "mlpBias">>, "parser"> = {
  keys: {
    vocabSize: key("vocab_size", size, 32000),
    hiddenSize: key("hidden_size", size, 4096),
    intermediateSize: key("intermediate_size", size, 11008),
    numHiddenLayers: key("num_hidden_layers", depth, 32),
    numAttentionHeads: key("num_attention_heads", size, 32),
    numKeyValueHeads: key("num_key_value_heads", orNull(size), null),
    headDim: key("head_dim", orNull(size), null),
    hiddenAct: key("hidden_act", activationName, "silu"),
    maxPositionEmbeddings: key("max_position_embeddings", size, 2048),
    initializerRange: floatKey("initializer_range", spread, 0.02),
    rmsNormEps: floatKey("rms_norm_eps", positive, 1e-6),
    attentionDropout: floatKey("attention_dropout", orNull(probability), 0),
    padTokenId: key("pad_token_id", tokenId, null),
    tieWordEmbeddings: key("tie_word_embeddings", flag, false),
  },
  aliases: {},
  shapes: {},
  functions: {},
  // read apart, in all their spellings
  harmless: [
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "partial_rotary_factor",
    "original_max_position_embeddings",
  ],
  harmlessFloats: ROPE_FLOATS,
};

export const attentionBias: ConfigKey<boolean> = key("attention_bias", flag, false);

export const LLAMA_TABLE: ConfigTable<LlamaValues> = {
  ...DECODER_TABLE,
  parser: "parseLlamaConfig",
  keys: { ...DECODER_TABLE.keys, attentionBias, mlpBias: key("mlp_bias", flag, false) },
  // how many pieces products were cut into while training
  harmless: [...DECODER_TABLE.harmless, "pretraining_tp"],
};

export function parseLlamaConfig(source: ConfigSource, overrides: ConfigOverrides = {}): LlamaConfig {
  return parseLlamaAs(LLAMA_TABLE, source, overrides);
}

/**
 * For families whose files have Llama's keys, and maybe some of their own.
 * @param place where the rotary options are, if not where Llama's are
 */
export function parseLlamaAs<Values extends LlamaValues>(
  table: ConfigTable<Values>,
  source: ConfigSource,
  overrides: ConfigOverrides,
  place?: RopePlace,
): LlamaConfig & Omit<Values, keyof LlamaValues> {
  const base = readBase(table, source, overrides);
  const { hiddenSize, numAttentionHeads, headDim } = base;
  const numKeyValueHeads = base.numKeyValueHeads ?? numAttentionHeads;
  checkHeads(numAttentionHeads, "num_attention_heads", numKeyValueHeads, "num_key_value_heads");
  if (headDim === null) checkHeads(hiddenSize, "hidden_size", numAttentionHeads, "num_attention_heads");
  const { rope, notBuilt } = readRope(source, base.maxPositionEmbeddings, place);
  const own = {
    numKeyValueHeads,
    headDim: headDim ?? hiddenSize / numAttentionHeads,
    attentionDropout: base.attentionDropout ?? 0,
    ropeTheta: rope.theta,
    rope,
    attentionBias: base.attentionBias ?? false,
    mlpBias: base.mlpBias ?? false,
    padTokenId: presentId(base.padTokenId),
    notBuilt: [...base.notBuilt, ...notBuilt, ...builtActivation(table.keys.hiddenAct.key, base.hiddenAct)],
  };
  return { ...base, ...own };
}

export function llamaConfigFile(config: LlamaConfig, architecture: string): Record<string, unknown> {
  return llamaFileAs(LLAMA_TABLE, config, "llama", architecture);
}

/** The same, with the keys of a family's own table. */
export function llamaFileAs<Values extends LlamaValues>(
  table: ConfigTable<Values>,
  config: LlamaConfig & Omit<Values, keyof LlamaValues>,
  modelType: string,
  architecture: string,
): Record<string, unknown> {
  const values = { ...config, padTokenId: config.padTokenId ?? null } as unknown as Values;
  const { rope_scaling: _, ...file } = writeBase(table, values, config, modelType, architecture);
  return { ...file, ...writeRope(config.rope) };
}
