/** GPT-2 with a task on top. Losses are transformers' defaults. */
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { CausalClassification, CausalHead } from "../shared/heads.ts";
import type { HiddenOutputs, WordOutputs } from "../shared/outputs.ts";
import type { GPT2Config } from "./config.ts";
import { GPT2 } from "./family.ts";
import { GPT2Model, type GPT2Inputs } from "./model.ts";

export interface CausalInputs extends GPT2Inputs {
  /** i32 [batch, length], the tokens themselves; they are shifted inside. −100 counts for nothing. */
  readonly labels?: Tensor;
}

export interface GPT2ClassificationInputs extends GPT2Inputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

export type CausalOutputs = HiddenOutputs & WordOutputs;

export class GPT2LMHeadModel extends CausalHead<GPT2Config, CausalInputs, HiddenOutputs> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  static readonly architecture: string = "GPT2LMHeadModel";
  declare readonly transformer: GPT2Model;

  constructor(config: GPT2Config) {
    super(config, new GPT2Model(config), "wte");
  }
}

export class GPT2ForSequenceClassification extends CausalClassification<
  GPT2Config,
  GPT2ClassificationInputs,
  HiddenOutputs
> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  static readonly architecture: string = "GPT2ForSequenceClassification";
  declare readonly transformer: GPT2Model;

  constructor(config: GPT2Config) {
    super(config, new GPT2Model(config));
  }
}
