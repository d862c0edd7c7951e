/** DistilBERT with a task on top. Losses are transformers' defaults. */
import { Dropout, Linear, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { QuestionAnswering, TokenClassification, type AnswerInputs } from "../shared/heads.ts";
import { firstToken, type TextInputs } from "../shared/inputs.ts";
import { classificationLoss } from "../shared/losses.ts";
import { ModelWithHead } from "../shared/model-with-head.ts";
import type { HeadOutputs, HiddenOutputs } from "../shared/outputs.ts";
import type { DistilBertConfig } from "./config.ts";
import { DISTILBERT } from "./family.ts";
import { DistilBertModel } from "./model.ts";

export interface DistilBertClassificationInputs extends TextInputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

export class DistilBertForSequenceClassification extends ModelWithHead<
  DistilBertConfig,
  DistilBertClassificationInputs,
  HiddenOutputs,
  HiddenOutputs & HeadOutputs
> {
  static readonly family: ModelFamily<DistilBertConfig> = DISTILBERT;
  static readonly architecture: string = "DistilBertForSequenceClassification";
  declare readonly distilbert: DistilBertModel;
  readonly pre_classifier: Projection;
  readonly classifier: Projection;
  readonly dropout: Dropout;

  constructor(config: DistilBertConfig) {
    super(config, new DistilBertModel(config));
    this.pre_classifier = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
    this.dropout = new Dropout(config.seqClassifDropout);
  }

  /** logits [batch, labels], from the first token. */
  compute(inputs: DistilBertClassificationInputs): HiddenOutputs & HeadOutputs {
    const base = this.distilbert.compute(inputs);
    const logits = this.classifier.forward(
      this.dropout.forward(ops.relu(this.pre_classifier.forward(firstToken(base.lastHiddenState)))),
    );
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}

export interface DistilBertTokenInputs extends TextInputs {
  /** i32 [batch, length]; −100 counts for nothing. */
  readonly labels?: Tensor;
}

export class DistilBertForTokenClassification extends TokenClassification<
  DistilBertConfig,
  DistilBertTokenInputs,
  HiddenOutputs
> {
  static readonly family: ModelFamily<DistilBertConfig> = DISTILBERT;
  static readonly architecture: string = "DistilBertForTokenClassification";
  declare readonly distilbert: DistilBertModel;

  constructor(config: DistilBertConfig) {
    super(config, new DistilBertModel(config), new Dropout(config.dropout));
  }
}

export type DistilBertQuestionInputs = TextInputs & AnswerInputs;

export class DistilBertForQuestionAnswering extends QuestionAnswering<
  DistilBertConfig,
  DistilBertQuestionInputs,
  HiddenOutputs
> {
  static readonly family: ModelFamily<DistilBertConfig> = DISTILBERT;
  static readonly architecture: string = "DistilBertForQuestionAnswering";
  declare readonly distilbert: DistilBertModel;

  constructor(config: DistilBertConfig) {
    super(config, new DistilBertModel(config), new Dropout(config.qaDropout));
  }
}
