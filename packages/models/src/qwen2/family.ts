/** What is true of every Qwen 2. */
import { LLAMA } from "../llama/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { QWEN2_TABLE, qwen2ConfigFile, parseQwen2Config, type Qwen2Config } from "./config.ts";

export const QWEN2: ModelFamily<Qwen2Config> = {
  ...LLAMA,
  modelType: "qwen2",
  floatKeys: floatKeys(QWEN2_TABLE),
  parse: parseQwen2Config,
  file: qwen2ConfigFile,
  targets: {
    lora: ["q_proj", "v_proj"],
    ia3: ["q_proj", "v_proj", "down_proj"],
    ia3Feedforward: ["down_proj"],
    vera: ["q_proj", "v_proj"],
    adalora: ["q_proj", "v_proj"],
  },
};
