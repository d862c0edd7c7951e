/** Facts of families that only tests have. */
import type { FamilyFacts } from "@lowrank/nn";

/** A family of which nothing is true but what is given. */
export function familyOf(facts: Partial<FamilyFacts>): FamilyFacts {
  return {
    modelType: "toy",
    targets: { lora: [] },
    parts: { attention: [], ffn: [] },
    inputEmbeddings: [],
    outputEmbeddings: [],
    slicedTables: [],
    gradientFree: [],
    buffers: [],
    heads: {},
    ...facts,
  };
}

/** A decoder's tables by Llama's names. */
export const DECODER: FamilyFacts = familyOf({ inputEmbeddings: ["embed_tokens"], outputEmbeddings: ["lm_head"] });
