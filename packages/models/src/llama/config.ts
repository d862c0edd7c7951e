/** Llama's configuration, checked and with transformers' defaults filled in. Rotary options are read from both the new key and the old ones. */
import { LowrankError } from "@lowrank/tensor";
import { checkHeads, identityFields, labelCount, optionalNumber, readFlag, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface LlamaConfig extends ModelConfig {
  readonly intermediateSize: number;
  /** Heads of keys and values; each serves numAttentionHeads / numKeyValueHeads queries. Default: `numAttentionHeads`. */
  readonly numKeyValueHeads: number;
  /** Default: hiddenSize / numAttentionHeads. */
  readonly headDim: number;
  readonly hiddenAct: string;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly attentionDropout: number;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly tieWordEmbeddings: boolean;
  readonly padTokenId: number | undefined;
}

/** File key, property and default. */
const NUMBERS = [
  ["vocab_size", "vocabSize", 32000], ["hidden_size", "hiddenSize", 4096], ["intermediate_size", "intermediateSize", 11008], ["num_hidden_layers", "numHiddenLayers", 32],
  ["num_attention_heads", "numAttentionHeads", 32], ["max_position_embeddings", "maxPositionEmbeddings", 2048], ["initializer_range", "initializerRange", 0.02],
  ["rms_norm_eps", "rmsNormEps", 1e-6], ["attention_dropout", "attentionDropout", 0],
] as const;

export function parseLlamaConfig(source: ConfigSource, overrides: ConfigOverrides = {}): LlamaConfig {
  const numbers = readNumbers(source, NUMBERS);
  const numKeyValueHeads = optionalNumber(source, "num_key_value_heads") ?? numbers.numAttentionHeads;
  checkHeads(numbers.numAttentionHeads, "num_attention_heads", numKeyValueHeads, "num_key_value_heads");
  const headDim = optionalNumber(source, "head_dim");
  if (headDim === undefined) checkHeads(numbers.hiddenSize, "hidden_size", numbers.numAttentionHeads, "num_attention_heads");
  return {
    ...numbers, numKeyValueHeads, headDim: headDim ?? numbers.hiddenSize / numbers.numAttentionHeads, hiddenAct: readText(source, "hidden_act", "silu"), ropeTheta: readTheta(source),
    attentionBias: readFlag(source, "attention_bias", false), mlpBias: readFlag(source, "mlp_bias", false), tieWordEmbeddings: readFlag(source, "tie_word_embeddings", false),
    padTokenId: optionalNumber(source, "pad_token_id"), numLabels: labelCount(source, overrides), source,
  };
}

/** `rope_parameters: { rope_theta, rope_type }`, before transformers 5 `rope_theta` and `rope_scaling`. */
function readTheta(source: ConfigSource): number {
  for (const key of ["rope_parameters", "rope_scaling"]) {
    const options = source[key];
    if (options === undefined || options === null) continue;
    if (typeof options !== "object") throw new LowrankError("ConfigError", `config.json: "${key}" must be an object, got ${JSON.stringify(options)}`);
    const parameters = options as ConfigSource;
    refuse(parameters, "rope_type", "default");
    refuse(parameters, "type", "default");
    if (parameters["rope_theta"] !== undefined) return readNumbers(parameters, [["rope_theta", "theta", 10000]] as const).theta;
  }
  return readNumbers(source, [["rope_theta", "theta", 10000]] as const).theta;
}

export function llamaConfigFile(config: LlamaConfig, architecture: string): Record<string, unknown> {
  return {
    ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "llama", architecture), num_key_value_heads: config.numKeyValueHeads, head_dim: config.headDim,
    hidden_act: config.hiddenAct, attention_bias: config.attentionBias, mlp_bias: config.mlpBias, tie_word_embeddings: config.tieWordEmbeddings, pad_token_id: config.padTokenId ?? null,
    // both forms: each version of transformers reads its own
    rope_theta: config.ropeTheta, rope_parameters: { rope_theta: config.ropeTheta, rope_type: "default" },
  };
}
