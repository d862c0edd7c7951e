/** What a model is called with, of what a batch of texts has. */
import type { ModelInputs } from "@lowrank/models";
import type { Base } from "../../bases/base.ts";
import type { Tensors } from "../../records/row-task.ts";

/** Segments go to models that have such an input; tokenizers number them for all. */
export function textInputs({ model }: Base, { inputIds, attentionMask, tokenTypeIds }: Tensors): ModelInputs {
  return {
    inputIds: inputIds!,
    attentionMask: attentionMask!,
    ...(tokenTypeIds === undefined || !("tokenTypeIds" in model.extraInputs) ? {} : { tokenTypeIds }),
  };
}
