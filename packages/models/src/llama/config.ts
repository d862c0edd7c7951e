/** Llama's configuration, checked and with transformers' defaults filled in. Rotary options are read from both the new key and the old ones. */
import { LowrankError } from "@lowrank/tensor";
import { checkHeads, identityFields, labelCount, optionalNumber, readFlag, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface LlamaConfig extends ModelConfig {
  readonly innerSize: number;
  /** Heads of keys and values; each serves heads / keyHeads queries. Default: `heads`. */
  readonly keyHeads: number;
  /** Default: hiddenSize / heads. */
  readonly headSize: number;
  readonly activation: string;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly attentionDropout: number;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly tieEmbeddings: boolean;
  readonly padId: number | undefined;
}

/** File key, property and default. */
const NUMBERS = [
  ["vocab_size", "vocabSize", 32000], ["hidden_size", "hiddenSize", 4096], ["intermediate_size", "innerSize", 11008], ["num_hidden_layers", "layers", 32],
  ["num_attention_heads", "heads", 32], ["max_position_embeddings", "maxPositions", 2048], ["initializer_range", "initializerRange", 0.02],
  ["rms_norm_eps", "normEps", 1e-6], ["attention_dropout", "attentionDropout", 0],
] as const;

export function parseLlamaConfig(source: ConfigSource, overrides: ConfigOverrides = {}): LlamaConfig {
  const numbers = readNumbers(source, NUMBERS);
  const keyHeads = optionalNumber(source, "num_key_value_heads") ?? numbers.heads;
  checkHeads(numbers.heads, "num_attention_heads", keyHeads, "num_key_value_heads");
  const headSize = optionalNumber(source, "head_dim");
  if (headSize === undefined) checkHeads(numbers.hiddenSize, "hidden_size", numbers.heads, "num_attention_heads");
  return {
    ...numbers, keyHeads, headSize: headSize ?? numbers.hiddenSize / numbers.heads, activation: readText(source, "hidden_act", "silu"), ropeTheta: readTheta(source),
    attentionBias: readFlag(source, "attention_bias", false), mlpBias: readFlag(source, "mlp_bias", false), tieEmbeddings: readFlag(source, "tie_word_embeddings", false),
    padId: optionalNumber(source, "pad_token_id"), labels: labelCount(source, overrides), source,
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
    ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "llama", architecture), num_key_value_heads: config.keyHeads, head_dim: config.headSize,
    hidden_act: config.activation, attention_bias: config.attentionBias, mlp_bias: config.mlpBias, tie_word_embeddings: config.tieEmbeddings, pad_token_id: config.padId ?? null,
    // both forms: each version of transformers reads its own
    rope_theta: config.ropeTheta, rope_parameters: { rope_theta: config.ropeTheta, rope_type: "default" },
  };
}
