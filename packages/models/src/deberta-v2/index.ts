/** DeBERTa-v2 and v3: their classes by what they are for, and what they show of themselves. */
import type { FamilyModels } from "../family-models.ts";
import { DEBERTA_V2 } from "./family.ts";
import { DebertaV2ForSequenceClassification, DebertaV2ForTokenClassification } from "./heads.ts";
import { DebertaV2Model } from "./model.ts";

export const debertaV2Models: FamilyModels = {
  family: DEBERTA_V2,
  base: DebertaV2Model,
  tasks: { SEQ_CLS: DebertaV2ForSequenceClassification, TOKEN_CLS: DebertaV2ForTokenClassification },
};

export { parseDebertaV2Config, type DebertaV2Config } from "./config.ts";
export type { DebertaV2Inputs } from "./model.ts";
export { DEBERTA_V2, DebertaV2ForSequenceClassification, DebertaV2ForTokenClassification, DebertaV2Model };
