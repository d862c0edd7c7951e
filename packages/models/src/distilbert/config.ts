/** DistilBERT's configuration: `config.json` with its own key names, checked and with transformers' defaults filled in. */
import { size } from "@lowrank/tensor/check";
import { activationName, depth, flag, probability, spread, tokenId } from "../shared/config-rules.ts";
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

export interface DistilBertConfig extends ModelConfig {
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly seqClassifDropout: number;
  readonly qaDropout: number;
  /** Undefined: no id is padding. */
  readonly padTokenId: number | undefined;
}

interface DistilBertValues {
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly hiddenAct: string;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly seqClassifDropout: number;
  readonly qaDropout: number;
  readonly initializerRange: number;
  readonly padTokenId: number | null;
  readonly tieWordEmbeddings: boolean;
}

/** Defaults are distilbert-base-uncased's. */
export const DISTILBERT_TABLE: ConfigTable<DistilBertValues> = {
  parser: "parseDistilBertConfig",
  keys: {
    vocabSize: key("vocab_size", size, 30522),
    maxPositionEmbeddings: key("max_position_embeddings", size, 512),
    hiddenSize: key("dim", size, 768),
    numHiddenLayers: key("n_layers", depth, 6),
    numAttentionHeads: key("n_heads", size, 12),
    intermediateSize: key("hidden_dim", size, 3072),
    hiddenAct: key("activation", activationName, "gelu"),
    dropout: floatKey("dropout", probability, 0.1),
    attentionDropout: floatKey("attention_dropout", probability, 0.1),
    seqClassifDropout: floatKey("seq_classif_dropout", probability, 0.2),
    qaDropout: floatKey("qa_dropout", probability, 0.1),
    initializerRange: floatKey("initializer_range", spread, 0.02),
    padTokenId: key("pad_token_id", tokenId, 0),
    tieWordEmbeddings: key("tie_word_embeddings", flag, true),
  },
  aliases: { hidden_size: "dim", num_attention_heads: "n_heads", num_hidden_layers: "n_layers" },
  // the table of sines would be no weight that trains
  shapes: { sinusoidal_pos_embds: false },
  functions: {},
  harmless: ["tie_weights_"],
};

export function parseDistilBertConfig(source: ConfigSource, overrides: ConfigOverrides = {}): DistilBertConfig {
  const base = readBase(DISTILBERT_TABLE, source, overrides);
  checkHeads(base.hiddenSize, "dim", base.numAttentionHeads, "n_heads");
  return {
    ...base,
    padTokenId: presentId(base.padTokenId),
    notBuilt: [...base.notBuilt, ...builtActivation("activation", base.hiddenAct)],
  };
}

export function distilBertConfigFile(config: DistilBertConfig, architecture: string): Record<string, unknown> {
  return writeBase(
    DISTILBERT_TABLE,
    { ...config, padTokenId: config.padTokenId ?? null },
    config,
    "distilbert",
    architecture,
  );
}
