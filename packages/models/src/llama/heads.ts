/** Llama with a task on top. */
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { CausalClassification, CausalHead } from "../shared/heads.ts";
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

export interface LlamaClassificationInputs extends LlamaInputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

/** A label a text, on a body of Llama's kind. */
export abstract class LlamaClassificationHead<Config extends LlamaConfig> extends CausalClassification<
  Config,
  LlamaClassificationInputs,
  HiddenOutputs
> {
  declare readonly model: LlamaBody<Config>;
}

export class LlamaForCausalLM extends LlamaCausalHead<LlamaConfig> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture: string = "LlamaForCausalLM";
  declare readonly model: LlamaModel;

  constructor(config: LlamaConfig) {
    super(config, new LlamaModel(config));
  }
}

export class LlamaForSequenceClassification extends LlamaClassificationHead<LlamaConfig> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture: string = "LlamaForSequenceClassification";
  declare readonly model: LlamaModel;

  constructor(config: LlamaConfig) {
    super(config, new LlamaModel(config));
  }
}
