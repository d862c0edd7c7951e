/** GPT-2's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { positive, size } from "@lowrank/tensor/check";
import { activationName, depth, flag, orNull, probability, spread, tokenId } from "../shared/config-rules.ts";
import { floatKey, key, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import {
  builtActivation,
  checkHeads,
  presentId,
  readBase,
  writeBase,
  type ConfigOverrides,
  type ModelConfig,
} from "../shared/config.ts";

export interface GPT2Config extends ModelConfig {
  /** Default: 4 · hiddenSize. */
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly residPdrop: number;
  readonly embdPdrop: number;
  readonly attnPdrop: number;
  readonly layerNormEps: number;
  /** Scores times 1/√d. Default true. */
  readonly scaleAttnWeights: boolean;
  /** Scores of layer i over i + 1. Default false. */
  readonly scaleAttnByInverseLayerIdx: boolean;
  readonly padTokenId: number | undefined;
}

interface GPT2Values {
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number | null;
  readonly hiddenAct: string;
  readonly residPdrop: number;
  readonly embdPdrop: number;
  readonly attnPdrop: number;
  readonly layerNormEps: number;
  readonly initializerRange: number;
  readonly scaleAttnWeights: boolean;
  readonly scaleAttnByInverseLayerIdx: boolean;
  readonly padTokenId: number | null;
  readonly tieWordEmbeddings: boolean;
}

/** Defaults are gpt2's, the small one. */
export const GPT2_TABLE: ConfigTable<GPT2Values> = {
  parser: "parseGPT2Config",
  keys: {
    vocabSize: key("vocab_size", size, 50257),
    maxPositionEmbeddings: key("n_positions", size, 1024),
    hiddenSize: key("n_embd", size, 768),
    numHiddenLayers: key("n_layer", depth, 12),
    numAttentionHeads: key("n_head", size, 12),
    intermediateSize: key("n_inner", orNull(size), null),
    hiddenAct: key("activation_function", activationName, "gelu_new"),
    residPdrop: floatKey("resid_pdrop", probability, 0.1),
    embdPdrop: floatKey("embd_pdrop", probability, 0.1),
    attnPdrop: floatKey("attn_pdrop", probability, 0.1),
    layerNormEps: floatKey("layer_norm_epsilon", positive, 1e-5),
    initializerRange: floatKey("initializer_range", spread, 0.02),
    scaleAttnWeights: key("scale_attn_weights", flag, true),
    scaleAttnByInverseLayerIdx: key("scale_attn_by_inverse_layer_idx", flag, false),
    padTokenId: key("pad_token_id", tokenId, null),
    tieWordEmbeddings: key("tie_word_embeddings", flag, true),
  },
  aliases: {
    hidden_size: "n_embd",
    max_position_embeddings: "n_positions",
    num_attention_heads: "n_head",
    num_hidden_layers: "n_layer",
  },
  shapes: { add_cross_attention: false },
  functions: {},
  // the summary belongs to the double-heads class; the reordered attention is the same function
  harmless: [
    "n_ctx",
    "reorder_and_upcast_attn",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "output_past",
    "task_specific_params",
  ],
  harmlessFloats: ["summary_first_dropout"],
};

const DERIVED = { source: "config.json", path: ["n_inner, which is 4 · n_embd,"], code: "FormatError" } as const;

export function parseGPT2Config(source: ConfigSource, overrides: ConfigOverrides = {}): GPT2Config {
  const { intermediateSize: inner, ...base } = readBase(GPT2_TABLE, source, overrides);
  checkHeads(base.hiddenSize, "n_embd", base.numAttentionHeads, "n_head");
  return {
    ...base,
    intermediateSize: inner ?? size.read(4 * base.hiddenSize, DERIVED),
    padTokenId: presentId(base.padTokenId),
    notBuilt: [...base.notBuilt, ...builtActivation("activation_function", base.hiddenAct)],
  };
}

export function gpt2ConfigFile(config: GPT2Config, architecture: string): Record<string, unknown> {
  const inner = config.intermediateSize === 4 * config.hiddenSize ? null : config.intermediateSize;
  return writeBase(
    GPT2_TABLE,
    { ...config, intermediateSize: inner, padTokenId: config.padTokenId ?? null },
    config,
    "gpt2",
    architecture,
  );
}
