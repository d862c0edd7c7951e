/** Mistral (Jiang et al. 2023): Llama with a sliding window in every layer, or in those that the file names. */
import { LlamaBody } from "../llama/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { MistralConfig } from "./config.ts";
import { MISTRAL } from "./family.ts";

export class MistralModel extends LlamaBody<MistralConfig> {
  static readonly family: ModelFamily<MistralConfig> = MISTRAL;
  static readonly architecture: string = "MistralModel";

  constructor(config: MistralConfig) {
    const { layerTypes, slidingWindow } = config;
    super(config, {
      layer: (i) => ({ window: layerTypes[i] === "sliding_attention" ? (slidingWindow ?? undefined) : undefined }),
    });
  }
}
