/** What is true of every Mistral. */
import { LLAMA } from "../llama/family.ts";
import type { ModelFamily } from "../pretrained.ts";
import { floatKeys } from "../shared/config-table.ts";
import { MISTRAL_TABLE, mistralConfigFile, parseMistralConfig, type MistralConfig } from "./config.ts";

export const MISTRAL: ModelFamily<MistralConfig> = {
  ...LLAMA,
  modelType: "mistral",
  floatKeys: floatKeys(MISTRAL_TABLE),
  parse: parseMistralConfig,
  file: mistralConfigFile,
  targets: {
    lora: ["q_proj", "v_proj"],
    ia3: ["k_proj", "v_proj", "down_proj"],
    ia3Feedforward: ["down_proj"],
    vera: ["q_proj", "v_proj"],
    // PEFT has none for AdaLoRA
  },
};
