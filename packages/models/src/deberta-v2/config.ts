/** DeBERTa-v2's configuration, which v3 shares: BERT's keys, and what its attention knows of positions. */
import { LowrankError } from "@lowrank/tensor";
import { leaf, listOf, optional, probability, size, text, whole, type Rule } from "@lowrank/tensor/check";
import { BERT_TABLE, bertFileAs, parseBertAs, type BertConfig, type BertValues } from "../bert/config.ts";
import { activationName, flag, orNull } from "../shared/config-rules.ts";
import { floatKey, key, type ConfigSource, type ConfigTable } from "../shared/config-table.ts";
import { builtActivation, type ConfigOverrides } from "../shared/config.ts";

interface Own {
  readonly relativeAttention: boolean;
  /** Distances that attention tells apart, in each direction; −1: as many as `maxPositionEmbeddings`. */
  readonly maxRelativePositions: number;
  /** Of which so many are counted in full and the others by their logarithm; −1: all are counted in full. */
  readonly positionBuckets: number;
  /** Whether positions are added to the embeddings too. */
  readonly positionBiasedInput: boolean;
  /** Whether the projections of queries and keys are those of distances too. */
  readonly shareAttKey: boolean;
  readonly poolerDropout: number;
  readonly poolerHiddenAct: string;
  /** Width of the convolution beside the first layer; 0: there is none. */
  readonly convKernelSize: number;
  readonly convAct: string;
}

export interface DebertaV2Config extends BertConfig, Own {
  /** "c2p": queries meet distances; "p2c": keys do. */
  readonly posAttType: readonly string[];
  /** Whether the table of distances is normalized. */
  readonly normRelEbd: boolean;
  /** Width of the word embeddings. */
  readonly embeddingSize: number;
}

interface DebertaV2Values extends BertValues, Own {
  readonly posAttTypes: readonly string[] | null;
  readonly normOfDistances: string;
}

const words = (joined: string): string[] =>
  joined
    .toLowerCase()
    .split("|")
    .map((word) => word.trim());

/** A list, or its words joined by "|". */
const types: Rule<readonly string[]> = {
  expects: "a list of strings, or strings joined by |",
  read: (value, at) => (typeof value === "string" ? words(value) : listOf(text).read(value, at)),
};

const odd: Rule<number> = leaf(
  "0 or an odd whole number up to 65535, since the convolution keeps the length",
  (v) => v === 0 || (Number.isSafeInteger(v) && (v as number) > 0 && (v as number) < 65536 && (v as number) % 2 === 1),
);
const orNone: Rule<number> = leaf(
  "−1 or a whole number",
  (v) => Number.isSafeInteger(v) && (v as number) >= -1 && (v as number) <= 2 ** 24,
);

const { keys } = BERT_TABLE;
/** Defaults are deberta-v2-xlarge's. */
export const DEBERTA_V2_TABLE: ConfigTable<DebertaV2Values> = {
  parser: "parseDebertaV2Config",
  keys: {
    ...keys,
    vocabSize: { ...keys.vocabSize, fallback: 128100 },
    hiddenSize: { ...keys.hiddenSize, fallback: 1536 },
    numHiddenLayers: { ...keys.numHiddenLayers, fallback: 24 },
    numAttentionHeads: { ...keys.numAttentionHeads, fallback: 24 },
    intermediateSize: { ...keys.intermediateSize, fallback: 6144 },
    classifierDropout: { ...keys.classifierDropout, key: "cls_dropout" },
    typeVocabSize: key("type_vocab_size", whole(0, 2 ** 24), 0),
    layerNormEps: { ...keys.layerNormEps, fallback: 1e-7 },
    relativeAttention: key("relative_attention", flag, false),
    maxRelativePositions: key("max_relative_positions", orNone, -1),
    positionBuckets: key("position_buckets", orNone, -1),
    positionBiasedInput: key("position_biased_input", flag, true),
    shareAttKey: key("share_att_key", flag, false),
    posAttTypes: key("pos_att_type", orNull(types), null),
    normOfDistances: key("norm_rel_ebd", text, "none"),
    poolerDropout: floatKey("pooler_dropout", probability, 0),
    poolerHiddenAct: key("pooler_hidden_act", activationName, "gelu"),
    convKernelSize: key("conv_kernel_size", odd, 0),
    convAct: key("conv_act", activationName, "tanh"),
  },
  aliases: {},
  shapes: { conv_groups: 1 },
  functions: {},
  // which of two heads for masked words there is; sizes that are read apart
  harmless: ["legacy", "embedding_size", "attention_head_size", "pooler_hidden_size", "gradient_checkpointing"],
};

export function parseDebertaV2Config(source: ConfigSource, overrides: ConfigOverrides = {}): DebertaV2Config {
  const { posAttTypes, normOfDistances, ...config } = parseBertAs(DEBERTA_V2_TABLE, source, overrides);
  const { hiddenSize, numAttentionHeads } = config;
  requireSize(source, "attention_head_size", hiddenSize / numAttentionHeads, "hidden_size / num_attention_heads");
  requireSize(source, "pooler_hidden_size", hiddenSize, "hidden_size");
  return {
    ...config,
    posAttType: posAttTypes ?? [],
    normRelEbd: words(normOfDistances).includes("layer_norm"),
    embeddingSize: sizeAt(source, "embedding_size") ?? hiddenSize,
    notBuilt: [
      ...config.notBuilt,
      ...builtActivation("pooler_hidden_act", config.poolerHiddenAct),
      ...builtActivation("conv_act", config.convAct),
    ],
  };
}

function sizeAt(source: ConfigSource, name: string): number | undefined {
  return optional(size).read(source[name], { source: "config.json", path: [name], code: "FormatError" });
}

/** transformers reads these, and computes with one value only. */
function requireSize(source: ConfigSource, name: string, wanted: number, meaning: string): void {
  const value = sizeAt(source, name);
  if (value !== undefined && value !== wanted)
    throw new LowrankError("FormatError", `config.json: ${name} ${value} is not ${meaning}, which is ${wanted}`);
}

export function debertaV2ConfigFile(config: DebertaV2Config, architecture: string): Record<string, unknown> {
  const stated = config.source["norm_rel_ebd"];
  const values = {
    ...config,
    posAttTypes: config.posAttType,
    normOfDistances: typeof stated === "string" ? stated : "none",
  };
  return bertFileAs(DEBERTA_V2_TABLE, values, "deberta-v2", architecture);
}
