/** RoBERTa: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { ROBERTA } from "./family.ts";
import {
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from "./heads.ts";
import { RobertaForMaskedLM } from "./masked.ts";
import { RobertaModel } from "./model.ts";

export const robertaModels: FamilyModels = {
  family: ROBERTA,
  base: RobertaModel,
  tasks: {
    SEQ_CLS: RobertaForSequenceClassification,
    TOKEN_CLS: RobertaForTokenClassification,
    QUESTION_ANS: RobertaForQuestionAnswering,
  },
  others: [RobertaForMaskedLM],
};

export { parseRobertaConfig, type RobertaConfig } from "./config.ts";
export {
  ROBERTA,
  RobertaForMaskedLM,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaModel,
};
