/** Heads that families share. Losses are transformers' defaults. */
import { Linear, type Dropout, type Embedding, type Projection } from "@lowrank/nn";
import { LowrankError, ops, type Tensor } from "@lowrank/tensor";
import { initOf, type ModelConfig } from "./config.ts";
import { anyTensor, type InputRules, type TextInputs } from "./inputs.ts";
import { answerLoss, classificationLoss, flatCrossEntropy } from "./losses.ts";
import { ModelWithHead, type Base } from "./model-with-head.ts";
import { outputLayer } from "./output-layer.ts";
import { splitAnswer, type AnswerOutputs, type HeadOutputs, type HiddenOutputs, type WordOutputs } from "./outputs.ts";
import { nextWordOutputs } from "./word-losses.ts";

export interface LabelledInputs extends TextInputs {
  readonly labels?: Tensor;
}

/** A label a token. Labels i32 [batch, length]; −100 counts for nothing. */
export abstract class TokenClassification<
  Config extends ModelConfig,
  Inputs extends LabelledInputs,
  Hidden extends HiddenOutputs,
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & HeadOutputs> {
  readonly dropout: Dropout;
  readonly classifier: Projection;

  constructor(config: Config, base: Base<Inputs, Hidden>, dropout: Dropout) {
    super(config, base);
    this.dropout = dropout;
    this.classifier = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
  }

  /** logits [batch, length, labels]. */
  compute(inputs: Inputs): Hidden & HeadOutputs {
    const base = this.base.compute(inputs);
    const logits = this.classifier.forward(this.dropout.forward(base.lastHiddenState));
    return { ...base, logits, loss: flatCrossEntropy(logits, inputs.labels) };
  }
}

export interface AnswerInputs extends TextInputs {
  /**
   * i32 [batch]: first and last token of the answer. Positions at or beyond the length count for nothing, as in transformers (the answer
   * was cut off), and so does −100, where transformers would train on position 0. Other negative ones are an error.
   */
  readonly startPositions?: Tensor;
  readonly endPositions?: Tensor;
}

/** The first and the last token of an answer. */
export abstract class QuestionAnswering<
  Config extends ModelConfig,
  Inputs extends AnswerInputs,
  Hidden extends HiddenOutputs,
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & AnswerOutputs> {
  readonly qa_outputs: Projection;
  readonly dropout: Dropout | undefined;

  /** @param dropout of the hidden states */
  constructor(config: Config, base: Base<Inputs, Hidden>, dropout?: Dropout) {
    super(config, base);
    // as many as labels, in transformers too; only two are a start and an end
    this.qa_outputs = new Linear(config.hiddenSize, config.numLabels, { init: initOf(config) });
    this.dropout = dropout;
  }

  override get extraInputs(): InputRules {
    return { ...this.base.extraInputs, startPositions: anyTensor, endPositions: anyTensor };
  }

  compute(inputs: Inputs): Hidden & AnswerOutputs {
    const base = this.base.compute(inputs);
    const hidden = this.dropout?.forward(base.lastHiddenState) ?? base.lastHiddenState;
    const { startLogits, endLogits } = splitAnswer(this.qa_outputs.forward(hidden));
    const loss = answerLoss({ startLogits, endLogits }, inputs, this.architecture);
    return { ...base, startLogits, endLogits, loss };
  }
}

/** The next token. Labels are the tokens themselves, i32 [batch, length]; they are shifted inside, and −100 counts for nothing. */
export abstract class CausalHead<
  Config extends ModelConfig,
  Inputs extends LabelledInputs,
  Hidden extends HiddenOutputs,
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & WordOutputs> {
  readonly lm_head: Projection;
  readonly #table: string;

  /** @param table path in the base of the embedding table that the output layer may share */
  constructor(config: Config, base: Base<Inputs, Hidden>, table: string) {
    super(config, base);
    const { weight } = base.getModule(table) as Embedding;
    this.lm_head = outputLayer(weight, config.tieWordEmbeddings, initOf(config));
    this.#table = table;
  }

  override get tied(): ReadonlyMap<string, string> {
    const table = `${this.basePrefix}${this.#table}.weight`;
    return new Map(this.config.tieWordEmbeddings ? [[table, "lm_head.weight"]] : []);
  }

  /** logits [batch, length, vocab]. */
  compute(inputs: Inputs): Hidden & WordOutputs {
    const base = this.base.compute(inputs);
    return { ...base, ...nextWordOutputs(base.lastHiddenState, this.lm_head, inputs.labels) };
  }
}

/**
 * A label a text, told by the last token that is not `pad_token_id`, on whichever side the padding is: by its id and not by the mask, as in
 * transformers. Labels i32 [batch]; floats [batch] when there is one label; floats [batch, labels] when each is a question of its own.
 */
export abstract class CausalClassification<
  Config extends ModelConfig & { readonly padTokenId: number | undefined },
  Inputs extends LabelledInputs,
  Hidden extends HiddenOutputs,
> extends ModelWithHead<Config, Inputs, Hidden, Hidden & HeadOutputs> {
  readonly score: Projection;

  constructor(config: Config, base: Base<Inputs, Hidden>) {
    super(config, base);
    this.score = new Linear(config.hiddenSize, config.numLabels, { bias: false, init: initOf(config) });
  }

  /** logits [batch, labels]. */
  compute(inputs: Inputs): Hidden & HeadOutputs {
    const base = this.base.compute(inputs);
    const logits = this.score.forward(this.#lastTokens(base.lastHiddenState, inputs.inputIds));
    return { ...base, logits, loss: classificationLoss(logits, inputs.labels, this.config) };
  }

  /** [batch, length, hidden] → [batch, hidden]. */
  #lastTokens(hidden: Tensor, inputIds: Tensor): Tensor {
    const [batch, length] = inputIds.shape as [number, number];
    const { padTokenId, hiddenSize } = this.config;
    if (padTokenId === undefined && batch > 1)
      throw new LowrankError(
        "ConfigError",
        `${this.architecture}: config.json has no pad_token_id, so the last token of a text is known in batches of one only; set it`,
      );
    const at = ops.iota(inputIds, 1);
    const last =
      padTokenId === undefined
        ? ops.slice(at, 1, length - 1, length)
        : ops.amax(ops.mul(at, ops.cast(ops.ne(inputIds, padTokenId), "i32")), 1, true);
    const flat = ops.reshape(ops.add(last, ops.mul(ops.iota(inputIds, 0), length)), [batch]);
    return ops.gatherRows(ops.reshape(hidden, [batch * length, hiddenSize]), flat);
  }
}
