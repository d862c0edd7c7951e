/** Llama with a task on top. */
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { CausalHead } from "../shared/heads.ts";
import type { HiddenOutputs } from "../shared/outputs.ts";
import type { LlamaConfig } from "./config.ts";
import { LLAMA } from "./family.ts";
import { LlamaModel, type LlamaBody, type LlamaInputs } from "./model.ts";

export interface LlamaCausalInputs extends LlamaInputs {
  /** i32 [batch, length], the tokens themselves; they are shifted inside. −100 counts for nothing. */
  readonly labels?: Tensor;
}

/** The next token, on a body of Llama's kind. */
export abstract class LlamaCausalHead<Config extends LlamaConfig> extends CausalHead<
  Config,
  LlamaCausalInputs,
  HiddenOutputs
> {
  declare readonly model: LlamaBody<Config>;

  constructor(config: Config, model: LlamaBody<Config>) {
    super(config, model, "embed_tokens");
  }
}

export class LlamaForCausalLM extends LlamaCausalHead<LlamaConfig> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture: string = "LlamaForCausalLM";
  declare readonly model: LlamaModel;

  constructor(config: LlamaConfig) {
    super(config, new LlamaModel(config));
  }
}
