/** What is true of every Qwen 3. */
import { LLAMA } from "../llama/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { QWEN3_TABLE, qwen3ConfigFile, parseQwen3Config, type Qwen3Config } from "./config.ts";

export const QWEN3: ModelFamily<Qwen3Config> = {
  ...LLAMA,
  modelType: "qwen3",
  floatKeys: floatKeys(QWEN3_TABLE),
  parse: parseQwen3Config,
  file: qwen3ConfigFile,
  targets: {
    lora: ["q_proj", "v_proj"],
    ia3: ["q_proj", "v_proj", "down_proj"],
    ia3Feedforward: ["down_proj"],
    vera: ["q_proj", "v_proj"],
    adalora: ["q_proj", "v_proj"],
  },
};
