/** Small configurations of every family, for tests. Sizes are odd on purpose. */
import type { ConfigSource } from "../src/index.ts";

export interface Sizes {
  readonly vocab: number;
  readonly heads: number;
  /** Width of a head; even. */
  readonly width: number;
  readonly layers: number;
  readonly positions: number;
}

/** Architectures and the config.json of a small one. Dropout is at its default: models start in eval mode. */
export const SMALL: Readonly<Record<string, (s: Sizes) => ConfigSource>> = {
  BertForSequenceClassification: bert,
  BertForTokenClassification: bert,
  BertForMaskedLM: bert,
  BertForQuestionAnswering: bert,
  RobertaForSequenceClassification: roberta,
  RobertaForTokenClassification: roberta,
  RobertaForQuestionAnswering: roberta,
  RobertaForMaskedLM: roberta,
  DistilBertForSequenceClassification: distilbert,
  DistilBertForTokenClassification: distilbert,
  DistilBertForQuestionAnswering: distilbert,
  DistilBertForMaskedLM: distilbert,
  DebertaV2ForSequenceClassification: deberta,
  DebertaV2ForTokenClassification: deberta,
  GPT2LMHeadModel: gpt2,
  GPT2ForSequenceClassification: gpt2,
  LlamaForCausalLM: llama,
  LlamaForSequenceClassification: llama,
  MistralForCausalLM: mistral,
  MistralForSequenceClassification: mistral,
  Qwen2ForCausalLM: (s) => qwen(s, "qwen2"),
  Qwen2ForSequenceClassification: (s) => qwen(s, "qwen2"),
  Qwen3ForCausalLM: (s) => qwen(s, "qwen3"),
  Qwen3ForSequenceClassification: (s) => qwen(s, "qwen3"),
  Gemma3ForCausalLM: gemma3,
  Gemma3TextForSequenceClassification: gemma3,
};

// weights of 0.3 keep attention away from the even one that 0.02 would give in models this small

function bert(s: Sizes): ConfigSource {
  return {
    model_type: "bert",
    vocab_size: s.vocab,
    hidden_size: s.heads * s.width,
    num_attention_heads: s.heads,
    num_hidden_layers: s.layers,
    intermediate_size: 3 * s.heads * s.width,
    max_position_embeddings: s.positions,
    initializer_range: 0.3,
  };
}

function roberta(s: Sizes): ConfigSource {
  return {
    ...bert(s),
    model_type: "roberta",
    pad_token_id: 1,
    max_position_embeddings: s.positions + 2,
    type_vocab_size: 1,
  };
}

function distilbert(s: Sizes): ConfigSource {
  return {
    model_type: "distilbert",
    vocab_size: s.vocab,
    dim: s.heads * s.width,
    n_heads: s.heads,
    n_layers: s.layers,
    hidden_dim: 3 * s.heads * s.width,
    max_position_embeddings: s.positions,
    initializer_range: 0.3,
  };
}

/** All that there may be: distances in both directions with projections of their own, a convolution, types and positions. */
function deberta(s: Sizes): ConfigSource {
  return {
    ...bert(s),
    model_type: "deberta-v2",
    type_vocab_size: 2,
    relative_attention: true,
    position_buckets: 4,
    pos_att_type: ["c2p", "p2c"],
    norm_rel_ebd: "layer_norm",
    conv_kernel_size: 3,
  };
}

function gpt2(s: Sizes): ConfigSource {
  return {
    model_type: "gpt2",
    vocab_size: s.vocab,
    n_embd: s.heads * s.width,
    n_head: s.heads,
    n_layer: s.layers,
    n_positions: s.positions,
    initializer_range: 0.3,
    pad_token_id: 0,
  };
}

function llama(s: Sizes): ConfigSource {
  return {
    model_type: "llama",
    vocab_size: s.vocab,
    hidden_size: s.heads * s.width,
    num_attention_heads: s.heads,
    num_key_value_heads: 1,
    num_hidden_layers: s.layers,
    intermediate_size: 3 * s.heads * s.width,
    max_position_embeddings: s.positions,
    initializer_range: 0.3,
    pad_token_id: 0,
  };
}

// windows shorter than the texts of most tests

function mistral(s: Sizes): ConfigSource {
  return { ...llama(s), model_type: "mistral", sliding_window: 3 };
}

/** The first layer sees everything, the others have the window. */
function qwen(s: Sizes, type: string): ConfigSource {
  const own = type === "qwen3" ? { head_dim: s.width + 2 } : {};
  return { ...llama(s), ...own, model_type: type, use_sliding_window: true, sliding_window: 3, max_window_layers: 1 };
}

/** Layers with the window and without it by turns. */
function gemma3(s: Sizes): ConfigSource {
  const own = { head_dim: s.width + 2, query_pre_attn_scalar: 13, sliding_window: 3, sliding_window_pattern: 2 };
  return { ...llama(s), ...own, model_type: "gemma3_text" };
}
