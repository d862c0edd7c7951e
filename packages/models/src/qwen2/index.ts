/** Qwen 2: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { QWEN2 } from "./family.ts";
import { Qwen2ForCausalLM, Qwen2ForSequenceClassification } from "./heads.ts";
import { Qwen2Model } from "./model.ts";

export const qwen2Models: FamilyModels = {
  family: QWEN2,
  base: Qwen2Model,
  tasks: { CAUSAL_LM: Qwen2ForCausalLM, SEQ_CLS: Qwen2ForSequenceClassification },
};

export { parseQwen2Config, type Qwen2Config } from "./config.ts";
export { QWEN2, Qwen2ForCausalLM, Qwen2ForSequenceClassification, Qwen2Model };
