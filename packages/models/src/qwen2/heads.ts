/** Qwen 2 with a task on top. */
import { LlamaCausalHead, LlamaClassificationHead } from "../llama/heads.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { Qwen2Config } from "./config.ts";
import { QWEN2 } from "./family.ts";
import { Qwen2Model } from "./model.ts";

export class Qwen2ForCausalLM extends LlamaCausalHead<Qwen2Config> {
  static readonly family: ModelFamily<Qwen2Config> = QWEN2;
  static readonly architecture: string = "Qwen2ForCausalLM";
  declare readonly model: Qwen2Model;

  constructor(config: Qwen2Config) {
    super(config, new Qwen2Model(config));
  }
}

export class Qwen2ForSequenceClassification extends LlamaClassificationHead<Qwen2Config> {
  static readonly family: ModelFamily<Qwen2Config> = QWEN2;
  static readonly architecture: string = "Qwen2ForSequenceClassification";
  declare readonly model: Qwen2Model;

  constructor(config: Qwen2Config) {
    super(config, new Qwen2Model(config));
  }
}
