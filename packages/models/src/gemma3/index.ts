/** Gemma 3 for text: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { GEMMA3 } from "./family.ts";
import { Gemma3ForCausalLM, Gemma3TextForSequenceClassification } from "./heads.ts";
import { Gemma3TextModel } from "./model.ts";

export const gemma3Models: FamilyModels = {
  family: GEMMA3,
  base: Gemma3TextModel,
  tasks: { CAUSAL_LM: Gemma3ForCausalLM, SEQ_CLS: Gemma3TextForSequenceClassification },
};

export { parseGemma3Config, type Gemma3Config } from "./config.ts";
export { GEMMA3, Gemma3ForCausalLM, Gemma3TextForSequenceClassification, Gemma3TextModel };
