/** Sizes of a model by one set of names, from the parsed config of a family or from the keys that most config files share. */
import type { ModelConfig } from "../shared/config.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import type { RopeConfig } from "../llama/rope-config.ts";
import type { ModelSizes, RotaryFacts } from "./facts.ts";

/** What families add to the config that all have. */
interface Known extends ModelConfig {
  readonly intermediateSize?: number | null;
  readonly numKeyValueHeads?: number;
  readonly headDim?: number;
  readonly slidingWindow?: number | null;
  readonly useSlidingWindow?: boolean;
  readonly layerTypes?: readonly string[];
  readonly rope?: RopeConfig;
}

export function sizesOfConfig(config: ModelConfig): ModelSizes {
  const known = config as Known;
  const windowed =
    known.useSlidingWindow !== false && known.layerTypes?.every((type) => type === "full_attention") !== true;
  return {
    layers: known.numHiddenLayers,
    hidden: known.hiddenSize,
    intermediate: known.intermediateSize ?? null,
    heads: known.numAttentionHeads,
    keyValueHeads: known.numKeyValueHeads ?? null,
    headDim: known.headDim ?? null,
    vocabulary: known.vocabSize,
    positions: known.maxPositionEmbeddings,
    window: windowed ? (known.slidingWindow ?? null) : null,
    rotary: known.rope === undefined ? null : rotaryOf(known.rope),
    tied: known.tieWordEmbeddings,
    labels: known.id2label ?? null,
  };
}

function rotaryOf({ theta, scaling }: RopeConfig): RotaryFacts {
  return { theta, type: scaling.kind, factor: "factor" in scaling ? scaling.factor : null };
}

/** Of a family that is not built: what can be told from names that are usual. */
export function sizesOfSource(config: ConfigSource): ModelSizes {
  const size = (...names: string[]): number | null => {
    const found = names.map((name) => config[name]).find((value) => typeof value === "number");
    return (found as number | undefined) ?? null;
  };
  const tied = config["tie_word_embeddings"];
  return {
    layers: size("num_hidden_layers", "n_layer", "num_layers"),
    hidden: size("hidden_size", "n_embd", "d_model"),
    intermediate: size("intermediate_size", "n_inner", "d_ff"),
    heads: size("num_attention_heads", "n_head", "num_heads"),
    keyValueHeads: size("num_key_value_heads"),
    headDim: size("head_dim", "d_kv"),
    vocabulary: size("vocab_size"),
    positions: size("max_position_embeddings", "n_positions"),
    window: size("sliding_window"),
    rotary: null,
    tied: typeof tied === "boolean" ? tied : null,
    labels: null,
  };
}
