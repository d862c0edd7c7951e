/** GPT-2 with a task on top. Losses are transformers' defaults. */
import { Linear, type Projection } from "@lowrank/nn";
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import type { Rule } from "@lowrank/tensor/check";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { outputLayer } from "../shared/causal.ts";
import { anyTensor, inputsRule } from "../shared/inputs.ts";
import { classificationLoss, nextTokenLoss } from "../shared/losses.ts";
import type { HeadOutputs, HiddenOutputs } from "../shared/outputs.ts";
import type { GPT2Config } from "./config.ts";
import { GPT2 } from "./family.ts";
import { GPT2Model, initOf, type GPT2Inputs } from "./model.ts";

export interface CausalInputs extends GPT2Inputs {
  /** i32 [batch, length], the tokens themselves; they are shifted inside. −100 counts for nothing. */
  readonly labels?: Tensor;
}

export interface GPT2ClassificationInputs extends GPT2Inputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

export type CausalOutputs = HiddenOutputs & HeadOutputs;

const INPUTS = inputsRule<CausalInputs>({ positionIds: anyTensor, labels: anyTensor });

abstract class GPT2Task extends PretrainedModel<GPT2Config, CausalInputs, CausalOutputs> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  readonly basePrefix: string = GPT2.basePrefix;
  readonly transformer: GPT2Model;

  constructor(config: GPT2Config) {
    super(config);
    this.transformer = new GPT2Model(config);
  }

  get inputsRule(): Rule<CausalInputs> {
    return INPUTS;
  }
}

export class GPT2LMHeadModel extends GPT2Task {
  static readonly architecture = "GPT2LMHeadModel";
  readonly lm_head: Projection;

  constructor(config: GPT2Config) {
    super(config);
    this.lm_head = outputLayer(this.transformer.wte.weight, config.tieWordEmbeddings, initOf(config));
  }

  override get tied(): ReadonlyMap<string, string> {
    return new Map(this.config.tieWordEmbeddings ? [["transformer.wte.weight", "lm_head.weight"]] : []);
  }

  /** logits [batch, length, vocab]. */
  compute(inputs: CausalInputs): CausalOutputs {
    const base = this.transformer.compute(inputs);
    const logits = this.lm_head.forward(base.lastHiddenState);
    return { ...base, logits, loss: nextTokenLoss(logits, inputs.labels) };
  }
}

export class GPT2ForSequenceClassification extends GPT2Task {
  static readonly architecture = "GPT2ForSequenceClassification";
  readonly score: Projection;

  constructor(config: GPT2Config) {
    super(config);
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
