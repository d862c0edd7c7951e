/**
 * What is true of all models of a family and is asked for by code that takes any model: adapters, quantization, proofs. Models carry the
 * record (`model.family`), so that who asks knows no names. Unless said otherwise, an entry is the end of a module's path, at a dot.
 */

/** Modules that an adapter method takes where nothing is said: PEFT's tables (`peft/utils/constants.py`). */
export interface AdapterTargets {
  readonly lora: readonly string[];
  readonly ia3?: readonly string[];
  /** Those of `ia3` whose input is scaled and not their output. */
  readonly ia3Feedforward?: readonly string[];
  readonly vera?: readonly string[];
  readonly adalora?: readonly string[];
}

/** Rank patterns of a layer's two halves: regular expressions for the end of a path, as in `rank_pattern`. */
export interface LayerParts {
  /** Query, key, value and the projection after them. */
  readonly attention: readonly string[];
  /** The two (or three) projections of the feed-forward part. */
  readonly ffn: readonly string[];
}

export interface FamilyFacts {
  /** `model_type` of the configuration. */
  readonly modelType: string;
  readonly targets: AdapterTargets;
  readonly parts: LayerParts;
  /** Tables that token ids look up. */
  readonly inputEmbeddings: readonly string[];
  /** Layers that give a score to each word of the vocabulary; the only projections that "all-linear" leaves out by itself. */
  readonly outputEmbeddings: readonly string[];
  /** Tables that models slice and never call: an adapter on one would do nothing. */
  readonly slicedTables: readonly string[];
  /** Weights whose gradient is zero whatever the loss: the end of a weight's name, at a dot. */
  readonly gradientFree: readonly string[];
  /** Tensors of old checkpoints that are no weights and that no model needs: the end of a name, at a dot. */
  readonly buffers: readonly string[];
  /** Modules of a task's head, by PEFT's task type. */
  readonly heads: Readonly<Record<string, readonly string[]>>;
}

/** Whether a dotted name is one of `ends` or ends in one at a dot. */
export function endsIn(name: string, ends: readonly string[]): boolean {
  return ends.some((end) => endsAtDot(name, end));
}

/** Whether a dotted name is `end` or ends in it at a dot. */
export function endsAtDot(name: string, end: string): boolean {
  return name === end || name.endsWith(`.${end}`);
}
