/** DistilBERT's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { checkHeads, identityFields, labelCount, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface DistilBertConfig extends ModelConfig {
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly seqClassifDropout: number;
  readonly padTokenId: number;
}

/** File key, property and default (distilbert-base-uncased). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 30522], ["max_position_embeddings", "maxPositionEmbeddings", 512], ["dim", "hiddenSize", 768], ["n_layers", "numHiddenLayers", 6], ["n_heads", "numAttentionHeads", 12],
  ["hidden_dim", "intermediateSize", 3072], ["dropout", "dropout", 0.1], ["attention_dropout", "attentionDropout", 0.1], ["seq_classif_dropout", "seqClassifDropout", 0.2],
  ["initializer_range", "initializerRange", 0.02], ["pad_token_id", "padTokenId", 0],
] as const;

export function parseDistilBertConfig(source: ConfigSource, overrides: ConfigOverrides = {}): DistilBertConfig {
  const numbers = readNumbers(source, NUMBERS);
  checkHeads(numbers.hiddenSize, "dim", numbers.numAttentionHeads, "n_heads");
  refuse(source, "sinusoidal_pos_embds", false);
  return { ...numbers, hiddenAct: readText(source, "activation", "gelu"), numLabels: labelCount(source, overrides), source };
}

export function distilBertConfigFile(config: DistilBertConfig, architecture: string): Record<string, unknown> {
  return { ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, "distilbert", architecture), activation: config.hiddenAct };
}
