/** GPT-2: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { GPT2 } from "./family.ts";
import { GPT2ForSequenceClassification, GPT2LMHeadModel } from "./heads.ts";
import { GPT2Model } from "./model.ts";

export const gpt2Models: FamilyModels = {
  family: GPT2,
  base: GPT2Model,
  tasks: { CAUSAL_LM: GPT2LMHeadModel, SEQ_CLS: GPT2ForSequenceClassification },
};

export { parseGPT2Config, type GPT2Config } from "./config.ts";
export type { CausalInputs, CausalOutputs, GPT2ClassificationInputs } from "./heads.ts";
export type { GPT2Inputs } from "./model.ts";
export { GPT2, GPT2ForSequenceClassification, GPT2LMHeadModel, GPT2Model };
