/** RoBERTa (Liu et al. 2019): BERT's encoder under positions that count from pad_token_id + 1 and skip padding, and a head of two layers. */
import { Dropout, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { BertEmbeddings, initOf, type BertInputs } from "../bert/embeddings.ts";
import { BertEncoder } from "../bert/encoder.ts";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { classificationLoss } from "../shared/losses.ts";
import { firstToken, textShape, type HeadOutputs, type HiddenOutputs } from "../shared/outputs.ts";
import { parseRobertaConfig, robertaConfigFile, type RobertaConfig } from "./config.ts";

class RobertaEmbeddings extends BertEmbeddings {
  constructor(config: RobertaConfig) {
    super(config, config.padTokenId);
  }

  /** Padding is told by its id, not by the mask, and has the position pad_token_id. */
  protected override positions(inputIds: Tensor): Tensor {
    const { maxPositionEmbeddings, padTokenId } = this.config;
    textShape(inputIds, maxPositionEmbeddings - padTokenId - 1);
    const real = ops.cast(ops.ne(inputIds, padTokenId), "i32");
    return this.position_embeddings.forward(ops.add(ops.mul(ops.cumsum(real, 1), real), padTokenId));
  }
}

export class RobertaModel extends Module {
  readonly config: RobertaConfig;
  readonly embeddings: RobertaEmbeddings;
  readonly encoder: BertEncoder;

  constructor(config: RobertaConfig) {
    super();
    this.config = config;
    this.embeddings = new RobertaEmbeddings(config);
    this.encoder = new BertEncoder(config);
  }

  forward(inputs: BertInputs): HiddenOutputs {
    return this.scoped(() => this.encoder.forward(this.embeddings.forward(inputs), inputs.attentionMask));
  }
}

class RobertaHead extends Module {
  dense: Projection;
  readonly dropout: Dropout;
  out_proj: Projection;

  constructor(config: RobertaConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.dropout = new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
    this.out_proj = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** x [batch, hidden]. */
  forward(x: Tensor): Tensor {
    return this.scoped(() => this.out_proj.forward(this.dropout.forward(ops.tanh(this.dense.forward(this.dropout.forward(x))))));
  }
}

export interface RobertaClassificationInputs extends BertInputs {
  /** i32 [batch], or floats [batch] when there is one label (regression). */
  readonly labels?: Tensor;
}

export class RobertaForSequenceClassification extends PretrainedModel<RobertaConfig> {
  static readonly family: ModelFamily<RobertaConfig> = { modelType: "roberta", parse: parseRobertaConfig, file: robertaConfigFile };
  static readonly architecture = "RobertaForSequenceClassification";
  readonly basePrefix = "roberta.";
  readonly roberta: RobertaModel;
  readonly classifier: RobertaHead;

  constructor(config: RobertaConfig) {
    super(config);
    this.roberta = new RobertaModel(config);
    this.classifier = new RobertaHead(config);
  }

  /** logits [batch, labels], from the first token. */
  forward(inputs: RobertaClassificationInputs): HiddenOutputs & HeadOutputs {
    this.keys?.restart();
    const base = this.roberta.forward(inputs);
    const logits = this.classifier.forward(firstToken(base.lastHiddenState));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels) };
  }
}
