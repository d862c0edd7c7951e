/** DistilBERT: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { DISTILBERT } from "./family.ts";
import {
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
} from "./heads.ts";
import { DistilBertForMaskedLM } from "./masked.ts";
import { DistilBertModel } from "./model.ts";

export const distilBertModels: FamilyModels = {
  family: DISTILBERT,
  base: DistilBertModel,
  tasks: {
    SEQ_CLS: DistilBertForSequenceClassification,
    TOKEN_CLS: DistilBertForTokenClassification,
    QUESTION_ANS: DistilBertForQuestionAnswering,
  },
  others: [DistilBertForMaskedLM],
};

export { parseDistilBertConfig, type DistilBertConfig } from "./config.ts";
export type { DistilBertClassificationInputs, DistilBertQuestionInputs, DistilBertTokenInputs } from "./heads.ts";
export type { DistilBertMaskedInputs } from "./masked.ts";
export {
  DISTILBERT,
  DistilBertForMaskedLM,
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
  DistilBertModel,
};
