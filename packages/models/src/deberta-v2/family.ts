/** What is true of every DeBERTa-v2 and v3. */
import { BERT } from "../bert/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { DEBERTA_V2_TABLE, debertaV2ConfigFile, parseDebertaV2Config, type DebertaV2Config } from "./config.ts";

export const DEBERTA_V2: ModelFamily<DebertaV2Config> = {
  ...BERT,
  modelType: "deberta-v2",
  basePrefix: "deberta.",
  floatKeys: floatKeys(DEBERTA_V2_TABLE),
  parse: parseDebertaV2Config,
  file: debertaV2ConfigFile,
  sized: (sizes) => ({ ...BERT.sized!(sizes), pooler_dropout: sizes.dropout }),
  targets: {
    lora: ["query_proj", "value_proj"],
    ia3: ["key_proj", "value_proj", "output.dense"],
    ia3Feedforward: ["output.dense"],
    vera: ["query_proj", "value_proj"],
    adalora: ["query_proj", "key_proj", "value_proj", "dense"],
  },
  parts: {
    attention: ["attention\\.self\\.(query|key|value|pos_key|pos_query)_proj", "attention\\.output\\.dense"],
    ffn: ["layer\\.\\d+\\.(intermediate|output)\\.dense"],
  },
  slicedTables: ["position_embeddings", "token_type_embeddings", "rel_embeddings"],
  // the same number for all keys of a query; a key's own bias meets distances, and does not cancel
  gradientFree: ["pos_key_proj.bias"],
  heads: { SEQ_CLS: ["classifier"], TOKEN_CLS: ["classifier"] },
};
