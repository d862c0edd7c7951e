/** BERT with a task on top. Losses are transformers' defaults. */
import { activation, Dropout, LayerNorm, Linear, Module, Weight, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { Rule } from "@lowrank/tensor/check";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { anyTensor, inputsRule } from "../shared/inputs.ts";
import { answerLoss, classificationLoss, flatCrossEntropy } from "../shared/losses.ts";
import { splitAnswer, type AnswerOutputs, type HeadOutputs } from "../shared/outputs.ts";
import type { BertConfig } from "./config.ts";
import { initOf, type BertInputs } from "./embeddings.ts";
import { BERT } from "./family.ts";
import { BertModel, type BertOutputs } from "./model.ts";

export type TaskOutputs = BertOutputs & HeadOutputs;

/** Dropout before a classifier. */
export function headDropout(config: BertConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropoutProb);
}

abstract class BertTask<Inputs extends BertInputs, Outputs> extends PretrainedModel<BertConfig, Inputs, Outputs> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  readonly basePrefix: string = BERT.basePrefix;
  readonly bert: BertModel;

  constructor(config: BertConfig, options: { pooler: boolean }) {
    super(config);
    this.bert = new BertModel(config, options);
  }
}

export interface SequenceInputs extends BertInputs {
  /** i32 [batch]; floats [batch] when there is one label (regression); floats [batch, labels] when each is a question of its own. */
  readonly labels?: Tensor;
}

/** Inputs of heads with labels. */
export const LABELLED: Rule<SequenceInputs> = inputsRule<SequenceInputs>({
  tokenTypeIds: anyTensor,
  labels: anyTensor,
});
const MASKED = inputsRule<MaskedInputs>({ tokenTypeIds: anyTensor, labels: anyTensor, positions: anyTensor });
export const QUESTIONS: Rule<QuestionInputs> = inputsRule<QuestionInputs>({
  tokenTypeIds: anyTensor,
  startPositions: anyTensor,
  endPositions: anyTensor,
});

export class BertForSequenceClassification extends BertTask<SequenceInputs, TaskOutputs> {
  static readonly architecture = "BertForSequenceClassification";
  readonly dropout: Dropout;
  readonly classifier: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: true });
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  get inputsRule(): Rule<SequenceInputs> {
    return LABELLED;
  }

  /** logits [batch, labels]. */
  compute(inputs: SequenceInputs): TaskOutputs {
    const base = this.bert.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.pooled!));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }
}

export interface TokenInputs extends BertInputs {
  /** i32 [batch, length]; −100 counts for nothing. */
  readonly labels?: Tensor;
}

export class BertForTokenClassification extends BertTask<TokenInputs, TaskOutputs> {
  static readonly architecture = "BertForTokenClassification";
  readonly dropout: Dropout;
  readonly classifier: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  get inputsRule(): Rule<TokenInputs> {
    return LABELLED;
  }

  /** logits [batch, length, labels]. */
  compute(inputs: TokenInputs): TaskOutputs {
    const base = this.bert.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.lastHiddenState));
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}

class PredictionTransform extends Module {
  readonly dense: Projection;
  readonly LayerNorm: LayerNorm;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.LayerNorm.forward(this.#activation(this.dense.forward(x))));
  }
}

class PredictionHead extends Module {
  readonly transform: PredictionTransform;
  /** The decoder's bias where it is tied; without a use otherwise, and in the file all the same. */
  readonly bias: Weight;
  /** Undefined where the word embeddings are the decoder. */
  readonly decoder: Projection | undefined;

  constructor(config: BertConfig) {
    super();
    this.transform = new PredictionTransform(config);
    this.bias = new Weight([config.vocabSize], { kind: "zeros" });
    this.decoder = config.tieWordEmbeddings
      ? undefined
      : new Linear(config.hiddenSize, config.vocabSize, { init: initOf(config) });
  }

  forward(x: Tensor, embeddings: Weight): Tensor {
    return this.scoped(() => {
      const turned = this.transform.forward(x);
      return this.decoder === undefined
        ? ops.linear(turned, embeddings.value, this.bias.value)
        : this.decoder.forward(turned);
    });
  }
}

class MaskedHead extends Module {
  readonly predictions: PredictionHead;

  constructor(config: BertConfig) {
    super();
    this.predictions = new PredictionHead(config);
  }

  /** x […, hidden] against the decoder or, where the two are tied, the word embeddings. */
  forward(x: Tensor, embeddings: Weight): Tensor {
    return this.scoped(() => this.predictions.forward(x, embeddings));
  }
}

export interface MaskedInputs extends BertInputs {
  /** i32 [batch, length], −100 where nothing is predicted; or [slots] together with `positions`. */
  readonly labels?: Tensor;
  /** i32 [slots]: flat positions (row · length + column) whose vocabulary logits are wanted. Saves the projection everywhere else. */
  readonly positions?: Tensor;
}

export class BertForMaskedLM extends BertTask<MaskedInputs, TaskOutputs> {
  static readonly architecture = "BertForMaskedLM";
  readonly cls: MaskedHead;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    this.cls = new MaskedHead(config);
  }

  override get tied(): ReadonlyMap<string, string> {
    const [bias, decoder] = ["cls.predictions.bias", "cls.predictions.decoder"];
    // the decoder's bias had no name of its own in older files, tied or not
    return new Map(
      this.config.tieWordEmbeddings
        ? [
            ["bert.embeddings.word_embeddings.weight", `${decoder}.weight`],
            [bias, `${decoder}.bias`],
          ]
        : [[`${decoder}.bias`, bias]],
    );
  }

  get inputsRule(): Rule<MaskedInputs> {
    return MASKED;
  }

  /** logits [batch, length, vocab], or [slots, vocab] with `positions`. */
  compute(inputs: MaskedInputs): TaskOutputs {
    const base = this.bert.compute(inputs);
    const hidden = base.lastHiddenState;
    const wanted =
      inputs.positions === undefined
        ? hidden
        : ops.gatherRows(ops.reshape(hidden, [-1, this.config.hiddenSize]), inputs.positions);
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

export type QuestionOutputs = BertOutputs & AnswerOutputs;

export class BertForQuestionAnswering extends BertTask<QuestionInputs, QuestionOutputs> {
  static readonly architecture = "BertForQuestionAnswering";
  readonly qa_outputs: Projection;

  constructor(config: BertConfig) {
    super(config, { pooler: false });
    // as many as labels, in transformers too; only two are a start and an end
    this.qa_outputs = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  get inputsRule(): Rule<QuestionInputs> {
    return QUESTIONS;
  }

  compute(inputs: QuestionInputs): QuestionOutputs {
    const base = this.bert.compute(inputs);
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
        BertForQuestionAnswering.architecture,
      ),
    };
  }
}
