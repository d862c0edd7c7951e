/** GPT-2's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { checkHeads, identityFields, labelCount, optionalNumber, readFlag, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

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
  readonly tieWordEmbeddings: boolean;
  readonly padTokenId: number | undefined;
}

/** File key, property and default (gpt2, the small one). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 50257], ["n_positions", "maxPositionEmbeddings", 1024], ["n_embd", "hiddenSize", 768], ["n_layer", "numHiddenLayers", 12], ["n_head", "numAttentionHeads", 12],
  ["resid_pdrop", "residPdrop", 0.1], ["embd_pdrop", "embdPdrop", 0.1], ["attn_pdrop", "attnPdrop", 0.1],
  ["layer_norm_epsilon", "layerNormEps", 1e-5], ["initializer_range", "initializerRange", 0.02],
] as const;

export function parseGPT2Config(source: ConfigSource, overrides: ConfigOverrides = {}): GPT2Config {
  const numbers = readNumbers(source, NUMBERS);
  checkHeads(numbers.hiddenSize, "n_embd", numbers.numAttentionHeads, "n_head");
  refuse(source, "add_cross_attention", false);
  return {
    ...numbers, intermediateSize: optionalNumber(source, "n_inner") ?? 4 * numbers.hiddenSize, hiddenAct: readText(source, "activation_function", "gelu_new"),
    scaleAttnWeights: readFlag(source, "scale_attn_weights", true), scaleAttnByInverseLayerIdx: readFlag(source, "scale_attn_by_inverse_layer_idx", false),
    tieWordEmbeddings: readFlag(source, "tie_word_embeddings", true), padTokenId: optionalNumber(source, "pad_token_id"), numLabels: labelCount(source, overrides), source,
  };
}

export function gpt2ConfigFile(config: GPT2Config, architecture: string): Record<string, unknown> {
  return {
    ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "gpt2", architecture), n_inner: config.intermediateSize === 4 * config.hiddenSize ? null : config.intermediateSize,
    activation_function: config.hiddenAct, scale_attn_weights: config.scaleAttnWeights, scale_attn_by_inverse_layer_idx: config.scaleAttnByInverseLayerIdx,
    tie_word_embeddings: config.tieWordEmbeddings, pad_token_id: config.padTokenId ?? null,
  };
}
