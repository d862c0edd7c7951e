/** BERT's configuration: `config.json` with its snake_case keys, checked and with transformers' defaults filled in. RoBERTa's file has the same keys. */
import { checkHeads, identityFields, labelCount, readNumbers, readText, refuse, writeNumbers, type ConfigOverrides, type ConfigSource, type ModelConfig } from "../shared/config.ts";

export interface BertConfig extends ModelConfig {
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly hiddenDropoutProb: number;
  readonly attentionProbsDropoutProb: number;
  /** Default: `hiddenDropoutProb`. */
  readonly classifierDropout: number | null;
  readonly typeVocabSize: number;
  readonly layerNormEps: number;
  readonly padTokenId: number;
}

/** File key, property and default (bert-base-uncased). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 30522], ["hidden_size", "hiddenSize", 768], ["num_hidden_layers", "numHiddenLayers", 12], ["num_attention_heads", "numAttentionHeads", 12],
  ["intermediate_size", "intermediateSize", 3072], ["hidden_dropout_prob", "hiddenDropoutProb", 0.1], ["attention_probs_dropout_prob", "attentionProbsDropoutProb", 0.1],
  ["max_position_embeddings", "maxPositionEmbeddings", 512], ["type_vocab_size", "typeVocabSize", 2], ["initializer_range", "initializerRange", 0.02],
  ["layer_norm_eps", "layerNormEps", 1e-12], ["pad_token_id", "padTokenId", 0],
] as const;

export function parseBertConfig(source: ConfigSource, overrides: ConfigOverrides = {}): BertConfig {
  const numbers = readNumbers(source, NUMBERS);
  checkHeads(numbers.hiddenSize, "hidden_size", numbers.numAttentionHeads, "num_attention_heads");
  refuse(source, "position_embedding_type", "absolute");
  const classifierDropout = source["classifier_dropout"];
  return {
    ...numbers, numLabels: labelCount(source, overrides), hiddenAct: readText(source, "hidden_act", "gelu"),
    classifierDropout: typeof classifierDropout === "number" ? classifierDropout : null, source,
  };
}

/** The config as a file for `architecture`. */
export function bertConfigFile(config: BertConfig, architecture: string, modelType = "bert"): Record<string, unknown> {
  return { ...config.source, ...writeNumbers(config, NUMBERS), ...identityFields(config, modelType, architecture), hidden_act: config.hiddenAct, classifier_dropout: config.classifierDropout };
}
