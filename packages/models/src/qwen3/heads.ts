/** Qwen 3 with a task on top. */
import { LlamaCausalHead, LlamaClassificationHead } from "../llama/heads.ts";
import type { ModelFamily } from "../pretrained.ts";
import type { Qwen3Config } from "./config.ts";
import { QWEN3 } from "./family.ts";
import { Qwen3Model } from "./model.ts";

export class Qwen3ForCausalLM extends LlamaCausalHead<Qwen3Config> {
  static readonly family: ModelFamily<Qwen3Config> = QWEN3;
  static readonly architecture: string = "Qwen3ForCausalLM";
  declare readonly model: Qwen3Model;

  constructor(config: Qwen3Config) {
    super(config, new Qwen3Model(config));
  }
}

export class Qwen3ForSequenceClassification extends LlamaClassificationHead<Qwen3Config> {
  static readonly family: ModelFamily<Qwen3Config> = QWEN3;
  static readonly architecture: string = "Qwen3ForSequenceClassification";
  declare readonly model: Qwen3Model;

  constructor(config: Qwen3Config) {
    super(config, new Qwen3Model(config));
  }
}
