import type { RotaryAngles } from "../shared/rotary.ts";

/** What varies between Llama and the families that follow it. Left out, everything is as in Llama. */
export interface LlamaVariant {
  /** Biases of the projections to queries, keys and values, and of the one back. Default: the config's `attentionBias`. */
  readonly qkvBias?: boolean;
  readonly outputBias?: boolean;
  /** An RMS norm of every head's queries and keys before they are turned (Qwen 3, Gemma 3). */
  readonly headNorms?: boolean;
  /** Added to the weights of all norms (Gemma: 1). */
  readonly normOffset?: number;
  /** Where a block's halves are normed: before, or before and behind, ahead of the sum (Gemma 2 and 3). Default "before". */
  readonly norms?: "before" | "around";
  /** Of attention's scores. Default 1/√headDim. */
  readonly scale?: number;
  /** Word embeddings times this (Gemma: √hiddenSize). */
  readonly embeddingScale?: number;
  /** What differs from layer to layer. */
  readonly layer?: (index: number) => LayerVariant;
}

export interface LayerVariant {
  /** How many keys a query sees at most, its own among them. Default: all before it. */
  readonly window?: number | undefined;
  /** Its rotary angles; layers with the same ones share the object, and so the tables. Default: those of the config's `rope`. */
  readonly rotary?: RotaryAngles | undefined;
}
