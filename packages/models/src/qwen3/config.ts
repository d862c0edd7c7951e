/** Qwen 3's configuration: Qwen 2's keys, biases by choice, and heads of a width of their own. */
import { attentionBias, llamaFileAs } from "../llama/config.ts";
import { parseQwenAs, QWEN2_TABLE, type Qwen2Config, type Qwen2Values } from "../qwen2/config.ts";
import type { ConfigSource, ConfigTable } from "../shared/config-table.ts";
import type { ConfigOverrides } from "../shared/config.ts";

export type Qwen3Config = Qwen2Config;

const { keys } = QWEN2_TABLE;
/** Defaults are Qwen3-8B's. */
export const QWEN3_TABLE: ConfigTable<Qwen2Values> = {
  ...QWEN2_TABLE,
  parser: "parseQwen3Config",
  keys: { ...keys, headDim: { ...keys.headDim, fallback: 128 }, attentionBias },
};

export function parseQwen3Config(source: ConfigSource, overrides: ConfigOverrides = {}): Qwen3Config {
  return parseQwenAs(QWEN3_TABLE, source, overrides);
}

export function qwen3ConfigFile(config: Qwen3Config, architecture: string): Record<string, unknown> {
  return llamaFileAs(QWEN3_TABLE, config, "qwen3", architecture);
}
