/** DistilBERT's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { checkHeads, identityFields, labelCount, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface DistilBertConfig extends ModelConfig {
  readonly innerSize: number;
  readonly activation: string;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  readonly padId: number;
}

/** File key, property and default (distilbert-base-uncased). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 30522], ["max_position_embeddings", "maxPositions", 512], ["dim", "hiddenSize", 768], ["n_layers", "layers", 6], ["n_heads", "heads", 12],
  ["hidden_dim", "innerSize", 3072], ["dropout", "dropout", 0.1], ["attention_dropout", "attentionDropout", 0.1], ["seq_classif_dropout", "classifierDropout", 0.2],
  ["initializer_range", "initializerRange", 0.02], ["pad_token_id", "padId", 0],
] as const;

export function parseDistilBertConfig(source: ConfigSource, overrides: ConfigOverrides = {}): DistilBertConfig {
  const numbers = readNumbers(source, NUMBERS);
  checkHeads(numbers.hiddenSize, "dim", numbers.heads, "n_heads");
  refuse(source, "sinusoidal_pos_embds", false);
  return { ...numbers, activation: readText(source, "activation", "gelu"), labels: labelCount(source, overrides), source };
}

export function distilBertConfigFile(config: DistilBertConfig, architecture: string): Record<string, unknown> {
  return { ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "distilbert", architecture), activation: config.activation };
}
