/** GPT-2 with a task on top. Losses are transformers' defaults. */
import { Linear, type Projection } from "@lowrank/nn";
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { outputLayer } from "../shared/causal.ts";
import { classificationLoss, nextTokenLoss } from "../shared/losses.ts";
import type { HeadOutputs, HiddenOutputs } from "../shared/outputs.ts";
import { gpt2ConfigFile, parseGPT2Config, type GPT2Config } from "./config.ts";
import { GPT2Model, initOf, type GPT2Inputs } from "./model.ts";

export interface CausalInputs extends GPT2Inputs {
  /** i32 [batch, length], the tokens themselves; they are shifted inside. −100 counts for nothing. */
  readonly labels?: Tensor;
}

export interface GPT2ClassificationInputs extends GPT2Inputs {
  /** i32 [batch], or floats [batch] when there is one label (regression). */
  readonly labels?: Tensor;
}

export type CausalOutputs = HiddenOutputs & HeadOutputs;

abstract class GPT2Task extends PretrainedModel<GPT2Config> {
  static readonly family: ModelFamily<GPT2Config> = { modelType: "gpt2", parse: parseGPT2Config, file: gpt2ConfigFile };
  readonly basePrefix = "transformer.";
  readonly transformer: GPT2Model;

  constructor(config: GPT2Config) {
    super(config);
    this.transformer = new GPT2Model(config);
  }
}

export class GPT2LMHeadModel extends GPT2Task {
  static readonly architecture = "GPT2LMHeadModel";
  lm_head: Projection;

  constructor(config: GPT2Config) {
    super(config);
    this.lm_head = outputLayer(this.transformer.wte.weight, config.tieWordEmbeddings, initOf(config));
  }

  override get tied(): ReadonlyMap<string, string> {
    return new Map(this.config.tieWordEmbeddings ? [["transformer.wte.weight", "lm_head.weight"]] : []);
  }

  /** logits [batch, length, vocab]. */
  forward(inputs: CausalInputs): CausalOutputs {
    this.keys?.restart();
    const base = this.transformer.forward(inputs);
    const logits = this.lm_head.forward(base.lastHiddenState);
    return { ...base, logits, loss: nextTokenLoss(logits, inputs.labels) };
  }
}

export class GPT2ForSequenceClassification extends GPT2Task {
  static readonly architecture = "GPT2ForSequenceClassification";
  score: Projection;

  constructor(config: GPT2Config) {
    super(config);
    this.score = new Linear(config.hiddenSize, config.numLabels, { bias: false, init: initOf(config) });
  }

  /** logits [batch, labels], from the last token that is not `pad_token_id`, on whichever side the padding is. */
  forward(inputs: GPT2ClassificationInputs): CausalOutputs {
    this.keys?.restart();
    const base = this.transformer.forward(inputs);
    const { inputIds } = inputs;
    const [batch, length] = inputIds.shape as [number, number];
    const { padTokenId, hiddenSize } = this.config;
    if (padTokenId === undefined && batch > 1) throw new LowrankError("ConfigError", "GPT2ForSequenceClassification: config.json has no pad_token_id, so the last token of a text is known in batches of one only; set it");
    const rows = ops.reshape(base.lastHiddenState, [batch * length, hiddenSize]);
    const at = ops.coordinate(inputIds, 1);
    const last = padTokenId === undefined ? ops.slice(at, 1, length - 1, length) : ops.amax(ops.mul(at, ops.cast(ops.ne(inputIds, padTokenId), "i32")), 1, true);
    const flat = ops.reshape(ops.add(last, ops.mul(ops.coordinate(inputIds, 0), length)), [batch]);
    const logits = this.score.forward(ops.gatherRows(rows, flat));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels) };
  }
}
