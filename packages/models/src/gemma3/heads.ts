/** Gemma 3 for text with a task on top. */
import { LlamaCausalHead, LlamaClassificationHead } from "../llama/heads.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { Gemma3Config } from "./config.ts";
import { GEMMA3 } from "./family.ts";
import { Gemma3TextModel } from "./model.ts";

export class Gemma3ForCausalLM extends LlamaCausalHead<Gemma3Config> {
  static readonly family: ModelFamily<Gemma3Config> = GEMMA3;
  static readonly architecture: string = "Gemma3ForCausalLM";
  declare readonly model: Gemma3TextModel;

  constructor(config: Gemma3Config) {
    super(config, new Gemma3TextModel(config));
  }
}

export class Gemma3TextForSequenceClassification extends LlamaClassificationHead<Gemma3Config> {
  static readonly family: ModelFamily<Gemma3Config> = GEMMA3;
  static readonly architecture: string = "Gemma3TextForSequenceClassification";
  declare readonly model: Gemma3TextModel;

  constructor(config: Gemma3Config) {
    super(config, new Gemma3TextModel(config));
  }
}
