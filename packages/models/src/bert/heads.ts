/** BERT with a task on top. Losses are transformers' defaults. */
import { Dropout, Linear, type Projection } from "@lowrank/nn";
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { QuestionAnswering, TokenClassification, type AnswerInputs } from "../shared/heads.ts";
import { classificationLoss } from "../shared/losses.ts";
import { ModelWithHead } from "../shared/model-with-head.ts";
import type { AnswerOutputs, HeadOutputs } from "../shared/outputs.ts";
import type { BertConfig } from "./config.ts";
import type { BertInputs } from "./embeddings.ts";
import { BERT } from "./family.ts";
import { BertModel, type BertOutputs } from "./model.ts";

export type TaskOutputs = BertOutputs & HeadOutputs;

export interface SequenceInputs extends BertInputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

export interface TokenInputs extends BertInputs {
  /** i32 [batch, length]; −100 counts for nothing. */
  readonly labels?: Tensor;
}

export type QuestionInputs = BertInputs & AnswerInputs;
export type QuestionOutputs = BertOutputs & AnswerOutputs;

/** Dropout before a classifier. */
export function headDropout(config: BertConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
}

export class BertForSequenceClassification extends ModelWithHead<BertConfig, SequenceInputs, BertOutputs, TaskOutputs> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  static readonly architecture: string = "BertForSequenceClassification";
  declare readonly bert: BertModel;
  readonly dropout: Dropout;
  readonly classifier: Projection;

  constructor(config: BertConfig) {
    super(config, new BertModel(config));
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** logits [batch, labels]. */
  compute(inputs: SequenceInputs): TaskOutputs {
    const base = this.bert.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.pooled!));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}

export class BertForTokenClassification extends TokenClassification<BertConfig, TokenInputs, BertOutputs> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  static readonly architecture: string = "BertForTokenClassification";
  declare readonly bert: BertModel;

  constructor(config: BertConfig) {
    super(config, new BertModel(config, { pooler: false }), headDropout(config));
  }
}

export class BertForQuestionAnswering extends QuestionAnswering<BertConfig, QuestionInputs, BertOutputs> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  static readonly architecture: string = "BertForQuestionAnswering";
  declare readonly bert: BertModel;

  constructor(config: BertConfig) {
    super(config, new BertModel(config, { pooler: false }));
  }
}
