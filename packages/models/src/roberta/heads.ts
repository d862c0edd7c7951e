/** RoBERTa with a task on top. Losses are transformers' defaults. */
import { Linear, Module, type Dropout, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import {
  headDropout,
  type QuestionInputs,
  type SequenceInputs,
  type TaskOutputs,
  type TokenInputs,
} from "../bert/heads.ts";
import type { BertOutputs } from "../bert/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { QuestionAnswering, TokenClassification } from "../shared/heads.ts";
import { firstToken } from "../shared/inputs.ts";
import { classificationLoss } from "../shared/losses.ts";
import { ModelWithHead } from "../shared/model-with-head.ts";
import type { RobertaConfig } from "./config.ts";
import { ROBERTA } from "./family.ts";
import { RobertaModel } from "./model.ts";

class RobertaHead extends Module {
  readonly dense: Projection;
  readonly dropout: Dropout;
  readonly out_proj: Projection;

  constructor(config: RobertaConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.dropout = headDropout(config);
    this.out_proj = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** x [batch, hidden]. */
  forward(x: Tensor): Tensor {
    return this.scoped(() =>
      this.out_proj.forward(this.dropout.forward(ops.tanh(this.dense.forward(this.dropout.forward(x))))),
    );
  }
}

export class RobertaForSequenceClassification extends ModelWithHead<
  RobertaConfig,
  SequenceInputs,
  BertOutputs,
  TaskOutputs
> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture: string = "RobertaForSequenceClassification";
  declare readonly roberta: RobertaModel;
  readonly classifier: RobertaHead;

  constructor(config: RobertaConfig) {
    super(config, new RobertaModel(config, { pooler: false }));
    this.classifier = new RobertaHead(config);
  }

  /** logits [batch, labels], from the first token. */
  compute(inputs: SequenceInputs): TaskOutputs {
    const base = this.roberta.compute(inputs);
    const logits = this.classifier.forward(firstToken(base.lastHiddenState));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}

export class RobertaForTokenClassification extends TokenClassification<RobertaConfig, TokenInputs, BertOutputs> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture: string = "RobertaForTokenClassification";
  declare readonly roberta: RobertaModel;

  constructor(config: RobertaConfig) {
    super(config, new RobertaModel(config, { pooler: false }), headDropout(config));
  }
}

export class RobertaForQuestionAnswering extends QuestionAnswering<RobertaConfig, QuestionInputs, BertOutputs> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture: string = "RobertaForQuestionAnswering";
  declare readonly roberta: RobertaModel;

  constructor(config: RobertaConfig) {
    super(config, new RobertaModel(config, { pooler: false }));
  }
}
