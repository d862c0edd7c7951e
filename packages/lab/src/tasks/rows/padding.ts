/** The token that rows are filled up with. */
import type { ModelConfig, Tokenizer } from "@lowrank/models";
import { InputError } from "../../errors.ts";

export interface PaddingChoice {
  readonly id: number;
  /** Whether the model's file says so: some find the end of a text by it, and count positions from it. */
  readonly ofModel: boolean;
}

/** The model's; else the tokenizer's; else, as is usual for models that have none, the token that ends a text, or the one for what is unknown. */
export function padIdOf(tokenizer: Tokenizer, config: ModelConfig): PaddingChoice {
  const { padTokenId } = config as ModelConfig & { readonly padTokenId?: number };
  if (padTokenId !== undefined) return { id: padTokenId, ofModel: true };
  const { pad, eos, unk } = tokenizer.specialTokens;
  for (const token of [pad, eos, unk]) {
    const id = token === undefined ? undefined : tokenizer.idOf(token);
    if (id !== undefined) return { id, ofModel: false };
  }
  throw new InputError("neither the model nor its tokenizer names a token for padding, nor one that ends a text");
}
