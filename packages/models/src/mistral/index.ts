/** Mistral: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { MISTRAL } from "./family.ts";
import { MistralForCausalLM, MistralForSequenceClassification } from "./heads.ts";
import { MistralModel } from "./model.ts";

export const mistralModels: FamilyModels = {
  family: MISTRAL,
  base: MistralModel,
  tasks: { CAUSAL_LM: MistralForCausalLM, SEQ_CLS: MistralForSequenceClassification },
};

export { parseMistralConfig, type MistralConfig } from "./config.ts";
export { MISTRAL, MistralForCausalLM, MistralForSequenceClassification, MistralModel };
