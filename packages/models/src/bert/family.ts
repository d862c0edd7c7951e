/** What is true of every BERT. */
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { BERT_TABLE, bertConfigFile, parseBertConfig, type BertConfig } from "./config.ts";

export const BERT: ModelFamily<BertConfig> = {
  modelType: "bert",
  basePrefix: "bert.",
  sizeKeys: [["vocab_size"], ["hidden_size"], ["num_hidden_layers"], ["num_attention_heads"]],
  floatKeys: floatKeys(BERT_TABLE),
  parse: parseBertConfig,
  file: bertConfigFile,
  sized: (sizes) => ({
    vocab_size: sizes.vocab,
    max_position_embeddings: sizes.positions,
    hidden_size: sizes.hidden,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    intermediate_size: sizes.intermediate,
    hidden_dropout_prob: sizes.dropout,
    attention_probs_dropout_prob: sizes.dropout,
    initializer_range: sizes.initializerRange,
  }),
  targets: {
    lora: ["query", "value"],
    ia3: ["key", "value", "output.dense"],
    ia3Feedforward: ["output.dense"],
    vera: ["query", "value"],
    adalora: ["query", "value"],
  },
  // both halves end in "output.dense": the dotted boundary tells them apart
  parts: {
    attention: ["attention\\.self\\.(query|key|value)", "attention\\.output\\.dense"],
    ffn: ["layer\\.\\d+\\.(intermediate|output)\\.dense"],
  },
  inputEmbeddings: ["word_embeddings"],
  outputEmbeddings: ["decoder"],
  slicedTables: ["position_embeddings", "token_type_embeddings"],
  // softmax does not change when a constant is added to a row, so a key's bias has no gradient but rounding
  gradientFree: ["attention.self.key.bias"],
  buffers: ["position_ids"],
  heads: { SEQ_CLS: ["classifier"], TOKEN_CLS: ["classifier"], QUESTION_ANS: ["qa_outputs"] },
};
