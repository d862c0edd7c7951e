/** Qwen 3: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { QWEN3 } from "./family.ts";
import { Qwen3ForCausalLM, Qwen3ForSequenceClassification } from "./heads.ts";
import { Qwen3Model } from "./model.ts";

export const qwen3Models: FamilyModels = {
  family: QWEN3,
  base: Qwen3Model,
  tasks: { CAUSAL_LM: Qwen3ForCausalLM, SEQ_CLS: Qwen3ForSequenceClassification },
};

export { parseQwen3Config, type Qwen3Config } from "./config.ts";
export { QWEN3, Qwen3ForCausalLM, Qwen3ForSequenceClassification, Qwen3Model };
