/** GPT-2's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { checkHeads, identityFields, labelCount, optionalNumber, readFlag, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface GPT2Config extends ModelConfig {
  /** Default: 4 · hiddenSize. */
  readonly innerSize: number;
  readonly activation: string;
  readonly residualDropout: number;
  readonly embeddingDropout: number;
  readonly attentionDropout: number;
  readonly layerNormEps: number;
  /** Scores times 1/√d. Default true. */
  readonly scaleAttention: boolean;
  /** Scores of layer i over i + 1. Default false. */
  readonly scaleByInverseLayer: boolean;
  readonly tieEmbeddings: boolean;
  readonly padId: number | undefined;
}

/** File key, property and default (gpt2, the small one). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 50257], ["n_positions", "maxPositions", 1024], ["n_embd", "hiddenSize", 768], ["n_layer", "layers", 12], ["n_head", "heads", 12],
  ["resid_pdrop", "residualDropout", 0.1], ["embd_pdrop", "embeddingDropout", 0.1], ["attn_pdrop", "attentionDropout", 0.1],
  ["layer_norm_epsilon", "layerNormEps", 1e-5], ["initializer_range", "initializerRange", 0.02],
] as const;

export function parseGPT2Config(source: ConfigSource, overrides: ConfigOverrides = {}): GPT2Config {
  const numbers = readNumbers(source, NUMBERS);
  checkHeads(numbers.hiddenSize, "n_embd", numbers.heads, "n_head");
  refuse(source, "add_cross_attention", false);
  return {
    ...numbers, innerSize: optionalNumber(source, "n_inner") ?? 4 * numbers.hiddenSize, activation: readText(source, "activation_function", "gelu_new"),
    scaleAttention: readFlag(source, "scale_attn_weights", true), scaleByInverseLayer: readFlag(source, "scale_attn_by_inverse_layer_idx", false),
    tieEmbeddings: readFlag(source, "tie_word_embeddings", true), padId: optionalNumber(source, "pad_token_id"), labels: labelCount(source, overrides), source,
  };
}

export function gpt2ConfigFile(config: GPT2Config, architecture: string): Record<string, unknown> {
  return {
    ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "gpt2", architecture), n_inner: config.innerSize === 4 * config.hiddenSize ? null : config.innerSize,
    activation_function: config.activation, scale_attn_weights: config.scaleAttention, scale_attn_by_inverse_layer_idx: config.scaleByInverseLayer,
    tie_word_embeddings: config.tieEmbeddings, pad_token_id: config.padId ?? null,
  };
}
