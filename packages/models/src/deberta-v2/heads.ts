/** DeBERTa-v2 with a task on top. Losses are transformers' defaults. */
import { activation, Dropout, Linear, Module, type Projection } from "@lowrank/nn";
import { isFloat, ops, type Tensor } from "@lowrank/tensor";
import { headDropout, type SequenceInputs, type TokenInputs } from "../bert/heads.ts";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { TokenClassification } from "../shared/heads.ts";
import { firstToken } from "../shared/inputs.ts";
import { classificationLoss } from "../shared/losses.ts";
import { ModelWithHead } from "../shared/model-with-head.ts";
import type { HeadOutputs, HiddenOutputs } from "../shared/outputs.ts";
import type { DebertaV2Config } from "./config.ts";
import { DEBERTA_V2 } from "./family.ts";
import { DebertaV2Model } from "./model.ts";

class ContextPooler extends Module {
  readonly dense: Projection;
  readonly dropout: Dropout;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: DebertaV2Config) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.dropout = new Dropout(config.poolerDropout);
    this.#activation = (x) => activation(config.poolerHiddenAct)(x);
  }

  /** act(dense(dropout(first token))). */
  forward(hidden: Tensor): Tensor {
    return this.scoped(() => this.#activation(this.dense.forward(this.dropout.forward(firstToken(hidden)))));
  }
}

export class DebertaV2ForSequenceClassification extends ModelWithHead<
  DebertaV2Config,
  SequenceInputs,
  HiddenOutputs,
  HiddenOutputs & HeadOutputs
> {
  static readonly family: ModelFamily<DebertaV2Config> = DEBERTA_V2;
  static readonly architecture: string = "DebertaV2ForSequenceClassification";
  declare readonly deberta: DebertaV2Model;
  readonly pooler: ContextPooler;
  readonly classifier: Projection;
  readonly dropout: Dropout;

  constructor(config: DebertaV2Config) {
    super(config, new DebertaV2Model(config));
    this.pooler = new ContextPooler(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
    this.dropout = headDropout(config);
  }

  /** logits [batch, labels]. */
  compute(inputs: SequenceInputs): HiddenOutputs & HeadOutputs {
    const base = this.deberta.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(this.pooler.forward(base.lastHiddenState)));
    return { ...base, logits, loss: this.#loss(logits, inputs.labels) };
  }

  /** As others', but float labels of a config without `problem_type` are shares of one whole: −Σ label·log p, averaged over texts. */
  #loss(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
    const { problemType, numLabels } = this.config;
    const shares = labels !== undefined && problemType === undefined && numLabels > 1 && isFloat(labels.dtype);
    if (!shares || labels.shape.join() !== logits.shape.join()) return classificationLoss(logits, labels, this.config);
    return ops.neg(ops.mean(ops.sum(ops.mul(ops.logSoftmax(logits, -1), labels), -1)));
  }
}

export class DebertaV2ForTokenClassification extends TokenClassification<DebertaV2Config, TokenInputs, HiddenOutputs> {
  static readonly family: ModelFamily<DebertaV2Config> = DEBERTA_V2;
  static readonly architecture: string = "DebertaV2ForTokenClassification";
  declare readonly deberta: DebertaV2Model;

  constructor(config: DebertaV2Config) {
    super(config, new DebertaV2Model(config), new Dropout(config.hiddenDropoutProb));
  }
}
