/** DistilBERT with a classifier on top. */
import { Dropout, Linear, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { classificationLoss } from "../shared/losses.ts";
import { firstToken, type HeadOutputs, type HiddenOutputs, type TextInputs } from "../shared/outputs.ts";
import { distilBertConfigFile, parseDistilBertConfig, type DistilBertConfig } from "./config.ts";
import { DistilBertModel, initOf } from "./model.ts";

export interface DistilBertClassificationInputs extends TextInputs {
  /** i32 [batch], or floats [batch] when there is one label (regression). */
  readonly labels?: Tensor;
}

export class DistilBertForSequenceClassification extends PretrainedModel<DistilBertConfig> {
  static readonly family: ModelFamily<DistilBertConfig> = { modelType: "distilbert", parse: parseDistilBertConfig, file: distilBertConfigFile };
  static readonly architecture = "DistilBertForSequenceClassification";
  readonly basePrefix = "distilbert.";
  readonly distilbert: DistilBertModel;
  pre_classifier: Projection;
  classifier: Projection;
  readonly dropout: Dropout;

  constructor(config: DistilBertConfig) {
    super(config);
    this.distilbert = new DistilBertModel(config);
    this.pre_classifier = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
    this.dropout = new Dropout(config.seqClassifDropout);
  }

  /** logits [batch, labels], from the first token. */
  forward(inputs: DistilBertClassificationInputs): HiddenOutputs & HeadOutputs {
    this.keys?.restart();
    const base = this.distilbert.forward(inputs);
    const logits = this.classifier.forward(this.dropout.forward(ops.relu(this.pre_classifier.forward(firstToken(base.lastHiddenState)))));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels) };
  }
}
