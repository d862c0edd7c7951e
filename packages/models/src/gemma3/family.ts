/** What is true of every Gemma 3 for text. */
import { LLAMA } from "../llama/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { GEMMA3_TABLE, gemma3ConfigFile, parseGemma3Config, type Gemma3Config } from "./config.ts";

export const GEMMA3: ModelFamily<Gemma3Config> = {
  ...LLAMA,
  modelType: "gemma3_text",
  floatKeys: floatKeys(GEMMA3_TABLE),
  parse: parseGemma3Config,
  file: gemma3ConfigFile,
  targets: {
    lora: ["q_proj", "v_proj"],
    ia3: ["q_proj", "v_proj", "down_proj"],
    ia3Feedforward: ["down_proj"],
    vera: ["q_proj", "v_proj"],
    adalora: ["q_proj", "v_proj"],
  },
};
