/** Mistral with a task on top. */
import { LlamaCausalHead, LlamaClassificationHead } from "../llama/heads.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { MistralConfig } from "./config.ts";
import { MISTRAL } from "./family.ts";
import { MistralModel } from "./model.ts";

export class MistralForCausalLM extends LlamaCausalHead<MistralConfig> {
  static readonly family: ModelFamily<MistralConfig> = MISTRAL;
  static readonly architecture: string = "MistralForCausalLM";
  declare readonly model: MistralModel;

  constructor(config: MistralConfig) {
    super(config, new MistralModel(config));
  }
}

export class MistralForSequenceClassification extends LlamaClassificationHead<MistralConfig> {
  static readonly family: ModelFamily<MistralConfig> = MISTRAL;
  static readonly architecture: string = "MistralForSequenceClassification";
  declare readonly model: MistralModel;

  constructor(config: MistralConfig) {
    super(config, new MistralModel(config));
  }
}
