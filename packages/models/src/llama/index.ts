/** Llama: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { LLAMA } from "./family.ts";
import { LlamaForCausalLM, LlamaForSequenceClassification } from "./heads.ts";
import { LlamaModel } from "./model.ts";

export const llamaModels: FamilyModels = {
  family: LLAMA,
  base: LlamaModel,
  tasks: { CAUSAL_LM: LlamaForCausalLM, SEQ_CLS: LlamaForSequenceClassification },
};

export { parseLlamaConfig, type LlamaConfig } from "./config.ts";
export type { LlamaCausalInputs, LlamaClassificationInputs } from "./heads.ts";
export type { LlamaInputs } from "./model.ts";
export { LLAMA, LlamaForCausalLM, LlamaForSequenceClassification, LlamaModel };
