/** BERT: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { BERT } from "./family.ts";
import { BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification } from "./heads.ts";
import { BertForMaskedLM } from "./masked.ts";
import { BertModel } from "./model.ts";

export const bertModels: FamilyModels = {
  family: BERT,
  base: BertModel,
  tasks: {
    SEQ_CLS: BertForSequenceClassification,
    TOKEN_CLS: BertForTokenClassification,
    QUESTION_ANS: BertForQuestionAnswering,
  },
  others: [BertForMaskedLM],
};

export { bertConfigFile, parseBertConfig, type BertConfig } from "./config.ts";
export type { BertInputs } from "./embeddings.ts";
export type { QuestionInputs, QuestionOutputs, SequenceInputs, TaskOutputs, TokenInputs } from "./heads.ts";
export type { MaskedInputs } from "./masked.ts";
export type { BertOutputs } from "./model.ts";
export {
  BERT,
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
};
