/** What is true of every RoBERTa: BERT's modules under another configuration. */
import { BERT } from "../bert/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { parseRobertaConfig, robertaConfigFile, type RobertaConfig } from "./config.ts";

export const ROBERTA: ModelFamily<RobertaConfig> = {
  ...BERT,
  modelType: "roberta",
  basePrefix: "roberta.",
  parse: parseRobertaConfig,
  file: robertaConfigFile,
  // positions are looked up: they depend on the ids
  slicedTables: ["token_type_embeddings"],
  targets: { ...BERT.targets, adalora: ["query", "key", "value", "dense"] },
};
