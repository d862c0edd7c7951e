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
  // the first position is that of the id after padding's
  sized: ({ positions, ...sizes }) => BERT.sized!({ ...sizes, positions: positions + 2 }),
  // positions are looked up: they depend on the ids
  slicedTables: ["token_type_embeddings"],
  targets: { ...BERT.targets, adalora: ["query", "key", "value", "dense"] },
};
