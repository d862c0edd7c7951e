/** BERT's configuration: `config.json` with its snake_case keys, checked and with transformers' defaults filled in. */
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

export interface BertConfig extends ModelConfig {
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly hiddenDropoutProb: number;
  readonly attentionProbsDropoutProb: number;
  /** Default: `hiddenDropoutProb`. */
  readonly classifierDropout: number | null;
  readonly typeVocabSize: number;
  readonly layerNormEps: number;
  /** Undefined: no id is padding. */
  readonly padTokenId: number | undefined;
}

export interface BertValues {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly hiddenDropoutProb: number;
  readonly attentionProbsDropoutProb: number;
  readonly classifierDropout: number | null;
  readonly maxPositionEmbeddings: number;
  readonly typeVocabSize: number;
  readonly initializerRange: number;
  readonly layerNormEps: number;
  readonly padTokenId: number | null;
  readonly tieWordEmbeddings: boolean;
}

/** Defaults are bert-base-uncased's. RoBERTa's class has the same keys with two other ones. */
export const BERT_TABLE: ConfigTable<BertValues> = {
  parser: "parseBertConfig",
  keys: {
    vocabSize: key("vocab_size", size, 30522),
    hiddenSize: key("hidden_size", size, 768),
    numHiddenLayers: key("num_hidden_layers", depth, 12),
    numAttentionHeads: key("num_attention_heads", size, 12),
    intermediateSize: key("intermediate_size", size, 3072),
    hiddenAct: key("hidden_act", activationName, "gelu"),
    hiddenDropoutProb: floatKey("hidden_dropout_prob", probability, 0.1),
    attentionProbsDropoutProb: floatKey("attention_probs_dropout_prob", probability, 0.1),
    classifierDropout: floatKey("classifier_dropout", orNull(probability), null),
    maxPositionEmbeddings: key("max_position_embeddings", size, 512),
    typeVocabSize: key("type_vocab_size", size, 2),
    initializerRange: floatKey("initializer_range", spread, 0.02),
    layerNormEps: floatKey("layer_norm_eps", positive, 1e-12),
    padTokenId: key("pad_token_id", tokenId, 0),
    tieWordEmbeddings: key("tie_word_embeddings", flag, true),
  },
  aliases: {},
  shapes: { add_cross_attention: false, position_embedding_type: "absolute" },
  functions: { is_decoder: false },
  // sizes of heads that the first release's files name and no class reads
  harmless: [
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "gradient_checkpointing",
  ],
};

export function parseBertConfig(source: ConfigSource, overrides: ConfigOverrides = {}): BertConfig {
  return parseBertAs(BERT_TABLE, source, overrides);
}

/** For families whose files have BERT's keys, and maybe some of their own. */
export function parseBertAs<Values extends BertValues>(
  table: ConfigTable<Values>,
  source: ConfigSource,
  overrides: ConfigOverrides,
): BertConfig & Omit<Values, keyof BertValues> {
  const base = readBase(table, source, overrides);
  checkHeads(base.hiddenSize, "hidden_size", base.numAttentionHeads, "num_attention_heads");
  const own = {
    padTokenId: presentId(base.padTokenId),
    notBuilt: [...base.notBuilt, ...builtActivation("hidden_act", base.hiddenAct)],
  };
  return { ...base, ...own };
}

/** The config as a file for `architecture`. */
export function bertConfigFile(config: BertConfig, architecture: string): Record<string, unknown> {
  return bertFileAs(BERT_TABLE, config, "bert", architecture);
}

/** The same, with the keys of a family's own table. */
export function bertFileAs<Values extends BertValues>(
  table: ConfigTable<Values>,
  config: BertConfig & Omit<Values, keyof BertValues>,
  modelType: string,
  architecture: string,
): Record<string, unknown> {
  const values = { ...config, padTokenId: config.padTokenId ?? null } as unknown as Values;
  return writeBase(table, values, config, modelType, architecture);
}
