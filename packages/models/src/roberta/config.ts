/** RoBERTa's configuration: BERT's keys, other defaults. */
import { BERT_TABLE, bertFileAs, parseBertAs, type BertConfig } from "../bert/config.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export type RobertaConfig = BertConfig;

const { keys } = BERT_TABLE;
export const ROBERTA_TABLE: typeof BERT_TABLE = {
  ...BERT_TABLE,
  parser: "parseRobertaConfig",
  keys: { ...keys, vocabSize: { ...keys.vocabSize, fallback: 50265 }, padTokenId: { ...keys.padTokenId, fallback: 1 } },
};

export function parseRobertaConfig(source: ConfigSource, overrides: ConfigOverrides = {}): RobertaConfig {
  const config = parseBertAs(ROBERTA_TABLE, source, overrides);
  return config.padTokenId === undefined
    ? {
        ...config,
        notBuilt: [
          ...config.notBuilt,
          "pad_token_id says that no id is padding, but RoBERTa's positions count from it",
        ],
      }
    : config;
}

export function robertaConfigFile(config: RobertaConfig, architecture: string): Record<string, unknown> {
  return bertFileAs(ROBERTA_TABLE, config, "roberta", architecture);
}
