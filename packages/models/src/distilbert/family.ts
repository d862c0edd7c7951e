/** What is true of every DistilBERT. */
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { DISTILBERT_TABLE, distilBertConfigFile, parseDistilBertConfig, type DistilBertConfig } from "./config.ts";

export const DISTILBERT: ModelFamily<DistilBertConfig> = {
  modelType: "distilbert",
  basePrefix: "distilbert.",
  sizeKeys: [
    ["vocab_size"],
    ["dim", "hidden_size"],
    ["n_layers", "num_hidden_layers"],
    ["n_heads", "num_attention_heads"],
  ],
  floatKeys: floatKeys(DISTILBERT_TABLE),
  parse: parseDistilBertConfig,
  file: distilBertConfigFile,
  // PEFT has no defaults for it
  targets: { lora: [] },
  parts: { attention: ["attention\\.(q_lin|k_lin|v_lin|out_lin)"], ffn: ["ffn\\.lin[12]"] },
  inputEmbeddings: ["word_embeddings"],
  outputEmbeddings: ["vocab_projector"],
  slicedTables: ["position_embeddings"],
  // as BERT's
  gradientFree: ["attention.k_lin.bias"],
  buffers: ["position_ids"],
  heads: { SEQ_CLS: ["pre_classifier", "classifier"], TOKEN_CLS: ["classifier"], QUESTION_ANS: ["qa_outputs"] },
};
