/** RoBERTa's configuration: BERT's keys, other defaults. */
import { bertConfigFile, parseBertConfig, type BertConfig } from "../bert/config.ts";
import type { ConfigOverrides, ConfigSource } from "../shared/config.ts";

export type RobertaConfig = BertConfig;

export function parseRobertaConfig(source: ConfigSource, overrides: ConfigOverrides = {}): RobertaConfig {
  return { ...parseBertConfig({ ...source, vocab_size: source["vocab_size"] ?? 50265, pad_token_id: source["pad_token_id"] ?? 1 }, overrides), source };
}

export function robertaConfigFile(config: RobertaConfig, architecture: string): Record<string, unknown> {
  return bertConfigFile(config, architecture, "roberta");
}
