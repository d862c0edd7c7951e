/** GPT-2 with a task on top. Losses are transformers' defaults. */
import { Linear, type Projection } from "@lowrank/nn";
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { CausalHead } from "../shared/heads.ts";
import { classificationLoss } from "../shared/losses.ts";
import { ModelWithHead } from "../shared/model-with-head.ts";
import type { HeadOutputs, HiddenOutputs } from "../shared/outputs.ts";
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

export type CausalOutputs = HiddenOutputs & HeadOutputs;

export class GPT2LMHeadModel extends CausalHead<GPT2Config, CausalInputs, HiddenOutputs> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  static readonly architecture: string = "GPT2LMHeadModel";
  declare readonly transformer: GPT2Model;

  constructor(config: GPT2Config) {
    super(config, new GPT2Model(config), "wte");
  }
}

export class GPT2ForSequenceClassification extends ModelWithHead<
  GPT2Config,
  GPT2ClassificationInputs,
  HiddenOutputs,
  CausalOutputs
> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  static readonly architecture: string = "GPT2ForSequenceClassification";
  declare readonly transformer: GPT2Model;
  readonly score: Projection;

  constructor(config: GPT2Config) {
    super(config, new GPT2Model(config));
    this.score = new Linear(config.hiddenSize, config.numLabels, { bias: false, init: initOf(config) });
  }

  /** logits [batch, labels], from the last token that is not `pad_token_id`, on whichever side the padding is. */
  compute(inputs: GPT2ClassificationInputs): CausalOutputs {
    const base = this.transformer.compute(inputs);
    const { inputIds } = inputs;
    const [batch, length] = inputIds.shape as [number, number];
    const { padTokenId, hiddenSize } = this.config;
    if (padTokenId === undefined && batch > 1)
      throw new LowrankError(
        "ConfigError",
        "GPT2ForSequenceClassification: config.json has no pad_token_id, so the last token of a text is known in batches of one only; set it",
      );
    const rows = ops.reshape(base.lastHiddenState, [batch * length, hiddenSize]);
    const at = ops.iota(inputIds, 1);
    const last =
      padTokenId === undefined
        ? ops.slice(at, 1, length - 1, length)
        : ops.amax(ops.mul(at, ops.cast(ops.ne(inputIds, padTokenId), "i32")), 1, true);
    const flat = ops.reshape(ops.add(last, ops.mul(ops.iota(inputIds, 0), length)), [batch]);
    const logits = this.score.forward(ops.gatherRows(rows, flat));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}
