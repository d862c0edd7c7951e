/** RoBERTa with a task on top. Losses are transformers' defaults. */
import { Linear, Module, type Dropout, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { Rule } from "@lowrank/tensor/check";
import { initOf, type BertInputs } from "../bert/embeddings.ts";
import {
  headDropout,
  LABELLED,
  QUESTIONS,
  type QuestionInputs,
  type QuestionOutputs,
  type SequenceInputs,
  type TaskOutputs,
  type TokenInputs,
} from "../bert/heads.ts";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { firstToken } from "../shared/inputs.ts";
import { answerLoss, classificationLoss, flatCrossEntropy } from "../shared/losses.ts";
import { splitAnswer } from "../shared/outputs.ts";
import type { RobertaConfig } from "./config.ts";
import { ROBERTA } from "./family.ts";
import { RobertaModel } from "./model.ts";

abstract class RobertaTask<Inputs extends BertInputs, Outputs> extends PretrainedModel<RobertaConfig, Inputs, Outputs> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  readonly basePrefix: string = ROBERTA.basePrefix;
  readonly roberta: RobertaModel;

  constructor(config: RobertaConfig) {
    super(config);
    this.roberta = new RobertaModel(config, { pooler: false });
  }
}

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

export class RobertaForSequenceClassification extends RobertaTask<SequenceInputs, TaskOutputs> {
  static readonly architecture = "RobertaForSequenceClassification";
  readonly classifier: RobertaHead;

  constructor(config: RobertaConfig) {
    super(config);
    this.classifier = new RobertaHead(config);
  }

  get inputsRule(): Rule<SequenceInputs> {
    return LABELLED;
  }

  /** logits [batch, labels], from the first token. */
  compute(inputs: SequenceInputs): TaskOutputs {
    const base = this.roberta.compute(inputs);
    const logits = this.classifier.forward(firstToken(base.lastHiddenState));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}

export class RobertaForTokenClassification extends RobertaTask<TokenInputs, TaskOutputs> {
  static readonly architecture = "RobertaForTokenClassification";
  readonly dropout: Dropout;
  readonly classifier: Projection;

  constructor(config: RobertaConfig) {
    super(config);
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  get inputsRule(): Rule<TokenInputs> {
    return LABELLED;
  }

  /** logits [batch, length, labels]. */
  compute(inputs: TokenInputs): TaskOutputs {
    const base = this.roberta.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.lastHiddenState));
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}

export class RobertaForQuestionAnswering extends RobertaTask<QuestionInputs, QuestionOutputs> {
  static readonly architecture = "RobertaForQuestionAnswering";
  readonly qa_outputs: Projection;

  constructor(config: RobertaConfig) {
    super(config);
    // as many as labels, in transformers too; only two are a start and an end
    this.qa_outputs = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  get inputsRule(): Rule<QuestionInputs> {
    return QUESTIONS;
  }

  compute(inputs: QuestionInputs): QuestionOutputs {
    const base = this.roberta.compute(inputs);
    const { startLogits, endLogits } = splitAnswer(this.qa_outputs.forward(base.lastHiddenState));
    return {
      ...base,
      startLogits,
      endLogits,
      loss: answerLoss(
        startLogits,
        endLogits,
        inputs.startPositions,
        inputs.endPositions,
        RobertaForQuestionAnswering.architecture,
      ),
    };
  }
}
