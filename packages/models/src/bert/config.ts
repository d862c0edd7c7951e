/** BERT's configuration: `config.json` with its snake_case keys, checked and with transformers' defaults filled in. */
import { LowrankError } from "@lowrank/tensor";

export interface BertConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly activation: string;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  /** Default: `hiddenDropout`. */
  readonly classifierDropout: number | null;
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly initializerRange: number;
  readonly layerNormEps: number;
  readonly padId: number;
  readonly labels: number;
  /** The file as it was read; unknown keys survive a round trip. */
  readonly source: Readonly<Record<string, unknown>>;
}

/** File key, property and default (bert-base-uncased). */
const NUMBERS = [
  ["vocab_size", "vocabSize", 30522], ["hidden_size", "hiddenSize", 768], ["num_hidden_layers", "layers", 12], ["num_attention_heads", "heads", 12],
  ["intermediate_size", "intermediateSize", 3072], ["hidden_dropout_prob", "hiddenDropout", 0.1], ["attention_probs_dropout_prob", "attentionDropout", 0.1],
  ["max_position_embeddings", "maxPositions", 512], ["type_vocab_size", "typeVocabSize", 2], ["initializer_range", "initializerRange", 0.02],
  ["layer_norm_eps", "layerNormEps", 1e-12], ["pad_token_id", "padId", 0],
] as const;

export function parseBertConfig(source: Readonly<Record<string, unknown>>, overrides: { labels?: number } = {}): BertConfig {
  const numbers = Object.fromEntries(NUMBERS.map(([key, property, fallback]) => {
    const value = source[key] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw new LowrankError("ConfigError", `config.json: "${key}" must be a non-negative number, got ${JSON.stringify(value)}`);
    return [property, value];
  })) as Record<(typeof NUMBERS)[number][1], number>;
  if (numbers.hiddenSize % numbers.heads !== 0) throw new LowrankError("ConfigError", `config.json: hidden_size ${numbers.hiddenSize} is not a multiple of num_attention_heads ${numbers.heads}`);
  if (source["position_embedding_type"] !== undefined && source["position_embedding_type"] !== "absolute") throw new LowrankError("ConfigError", `config.json: position_embedding_type "${String(source["position_embedding_type"])}" is not built; only "absolute" is`);
  const named = source["id2label"];
  const labels = overrides.labels ?? (typeof source["num_labels"] === "number" ? source["num_labels"] : typeof named === "object" && named !== null ? Object.keys(named).length : 2);
  const classifierDropout = source["classifier_dropout"];
  return {
    ...numbers, labels, activation: typeof source["hidden_act"] === "string" ? source["hidden_act"] : "gelu",
    classifierDropout: typeof classifierDropout === "number" ? classifierDropout : null, source,
  };
}

/** The config as a file for `architecture`. */
export function bertConfigFile(config: BertConfig, architecture: string): Record<string, unknown> {
  const values = Object.fromEntries(NUMBERS.map(([key, property]) => [key, config[property]]));
  const labels = Array.from({ length: config.labels }, (_, i) => `LABEL_${i}`);
  return {
    ...config.source, ...values, architectures: [architecture], model_type: "bert", hidden_act: config.activation, classifier_dropout: config.classifierDropout,
    ...(config.labels === 2 && config.source["id2label"] === undefined ? {} : {
      id2label: config.source["id2label"] ?? Object.fromEntries(labels.map((l, i) => [i, l])), label2id: config.source["label2id"] ?? Object.fromEntries(labels.map((l, i) => [l, i])),
    }),
    dtype: "float32",
  };
}
