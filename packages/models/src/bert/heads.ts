/** BERT with a task on top. Losses are transformers' defaults. */
import { activation, Dropout, LayerNorm, Linear, Module, Weight, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { classificationLoss, flatCrossEntropy } from "../shared/losses.ts";
import type { HeadOutputs } from "../shared/outputs.ts";
import { bertConfigFile, parseBertConfig, type BertConfig } from "./config.ts";
import { initOf, type BertInputs } from "./embeddings.ts";
import { BertModel, type BertOutputs } from "./encoder.ts";

export type TaskOutputs = BertOutputs & HeadOutputs;

function headDropout(config: BertConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
}

abstract class BertTask extends PretrainedModel<BertConfig> {
  static readonly family: ModelFamily<BertConfig> = { modelType: "bert", parse: parseBertConfig, file: bertConfigFile };
  readonly basePrefix = "bert.";
  readonly bert: BertModel;

  constructor(config: BertConfig, options: { pooler: boolean }) {
    super(config);
    this.bert = new BertModel(config, options);
  }
}

export interface SequenceInputs extends BertInputs {
  /** i32 [batch], or floats [batch] when there is one label (regression). */
  readonly labels?: Tensor;
}

export class BertForSequenceClassification extends BertTask {
  static readonly architecture = "BertForSequenceClassification";
  readonly dropout: Dropout;
  classifier: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: true });
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** logits [batch, labels]. */
  forward(inputs: SequenceInputs): TaskOutputs {
    this.keys?.restart();
    const base = this.bert.forward(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.pooled!));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels) };
  }
}

export interface TokenInputs extends BertInputs {
  /** i32 [batch, length]; −100 counts for nothing. */
  readonly labels?: Tensor;
}

export class BertForTokenClassification extends BertTask {
  static readonly architecture = "BertForTokenClassification";
  readonly dropout: Dropout;
  classifier: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** logits [batch, length, labels]. */
  forward(inputs: TokenInputs): TaskOutputs {
    this.keys?.restart();
    const base = this.bert.forward(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.lastHiddenState));
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}

class PredictionTransform extends Module {
  dense: Projection;
  readonly LayerNorm: LayerNorm;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.#activation = activation(config.hiddenAct);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.LayerNorm.forward(this.#activation(this.dense.forward(x))));
  }
}

class PredictionHead extends Module {
  readonly transform: PredictionTransform;
  readonly bias: Weight;

  constructor(config: BertConfig) {
    super();
    this.transform = new PredictionTransform(config);
    this.bias = new Weight([config.vocabSize], { kind: "zeros" });
  }
}

class MaskedHead extends Module {
  readonly predictions: PredictionHead;

  constructor(config: BertConfig) {
    super();
    this.predictions = new PredictionHead(config);
  }

  /** x […, hidden] against the word embeddings, which the decoder shares. */
  forward(x: Tensor, embeddings: Weight): Tensor {
    return this.scoped(() => ops.linear(this.predictions.transform.forward(x), embeddings.value, this.predictions.bias.value));
  }
}

export interface MaskedInputs extends BertInputs {
  /** i32 [batch, length], −100 where nothing is predicted; or [slots] together with `positions`. */
  readonly labels?: Tensor;
  /** i32 [slots]: flat positions (row · length + column) whose vocabulary logits are wanted. Saves the projection everywhere else. */
  readonly positions?: Tensor;
}

export class BertForMaskedLM extends BertTask {
  static readonly architecture = "BertForMaskedLM";
  readonly cls: MaskedHead;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    this.cls = new MaskedHead(config);
  }

  /** logits [batch, length, vocab], or [slots, vocab] with `positions`. */
  forward(inputs: MaskedInputs): TaskOutputs {
    this.keys?.restart();
    const base = this.bert.forward(inputs);
    const hidden = base.lastHiddenState;
    const wanted = inputs.positions === undefined ? hidden : ops.gatherRows(ops.reshape(hidden, [-1, this.config.hiddenSize]), inputs.positions);
    const logits = this.cls.forward(wanted, this.bert.embeddings.word_embeddings.weight);
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}

export interface QuestionInputs extends BertInputs {
  /**
   * i32 [batch]: first and last token of the answer. Positions at or beyond the length count for nothing, as in transformers (the answer
   * was cut off), and so does −100, where transformers would train on position 0. Other negative ones are an error.
   */
  readonly startPositions?: Tensor;
  readonly endPositions?: Tensor;
}

export interface QuestionOutputs extends BertOutputs {
  /** [batch, length]. */
  readonly startLogits: Tensor;
  readonly endLogits: Tensor;
  readonly loss: Tensor | undefined;
}

export class BertForQuestionAnswering extends BertTask {
  static readonly architecture = "BertForQuestionAnswering";
  qa_outputs: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    this.qa_outputs = new Linear(config.hiddenSize, 2, { init: initOf(config) });
  }

  forward(inputs: QuestionInputs): QuestionOutputs {
    this.keys?.restart();
    const base = this.bert.forward(inputs);
    const both = this.qa_outputs.forward(base.lastHiddenState);
    const [startLogits, endLogits] = [0, 1].map((i) => ops.squeeze(ops.slice(both, -1, i, i + 1), -1)) as [Tensor, Tensor];
    const { startPositions, endPositions } = inputs;
    const length = startLogits.shape[1]!;
    const part = (logits: Tensor, positions: Tensor, name: string): Tensor => {
      const at = ops.cast(ops.checkIndices(positions, { size: Infinity, ignore: -100, op: BertForQuestionAnswering.architecture, name }), "i32");
      return ops.crossEntropy(logits, ops.where(ops.ge(at, length), -100, at));
    };
    const loss = startPositions === undefined || endPositions === undefined ? undefined : ops.mul(ops.add(part(startLogits, startPositions, "start position"), part(endLogits, endPositions, "end position")), 0.5);
    return { ...base, startLogits, endLogits, loss };
  }
}
