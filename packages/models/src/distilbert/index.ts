/** DistilBERT: its classes by what they are for, and what it shows of itself. */
import type { FamilyModels } from "../family-models.ts";
import { DISTILBERT } from "./family.ts";
import { DistilBertForSequenceClassification } from "./heads.ts";
import { DistilBertModel } from "./model.ts";

export const distilBertModels: FamilyModels = {
  family: DISTILBERT,
  base: DistilBertModel,
  tasks: { SEQ_CLS: DistilBertForSequenceClassification },
};

export { parseDistilBertConfig, type DistilBertConfig } from "./config.ts";
export type { DistilBertClassificationInputs } from "./heads.ts";
export { DISTILBERT, DistilBertForSequenceClassification, DistilBertModel };
