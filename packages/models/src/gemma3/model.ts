/**
 * Gemma 3 for text (Kamath et al. 2025): Llama with scaled embeddings, norms before and behind both halves of a block and around queries
 * and keys, whose weights count from 1, and two kinds of layers with rotary bases of their own.
 */
import { LlamaBody, rotaryOf } from "../llama/model.ts";
import type { LlamaVariant } from "../llama/variant.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { Gemma3Config } from "./config.ts";
import { GEMMA3 } from "./family.ts";

function variantOf(config: Gemma3Config): LlamaVariant {
  const { hiddenSize, queryPreAttnScalar, slidingWindow, layerTypes, localRope, maxPositionEmbeddings } = config;
  // files count positions after any scaling
  const whole = rotaryOf(config, maxPositionEmbeddings);
  const local = rotaryOf({ ...config, rope: localRope }, maxPositionEmbeddings);
  return {
    headNorms: true,
    normOffset: 1,
    norms: "around",
    scale: queryPreAttnScalar ** -0.5,
    // transformers keeps it in f32
    embeddingScale: Math.fround(Math.sqrt(hiddenSize)),
    layer: (i) =>
      layerTypes[i] === "sliding_attention" ? { window: slidingWindow ?? undefined, rotary: local } : { rotary: whole },
  };
}

export class Gemma3TextModel extends LlamaBody<Gemma3Config> {
  static readonly family: ModelFamily<Gemma3Config> = GEMMA3;
  static readonly architecture: string = "Gemma3TextModel";

  constructor(config: Gemma3Config) {
    super(config, variantOf(config));
  }
}
