/** BERT's masked language model: its head turns hidden states once more before it compares them with words. */
import { activation, LayerNorm, Linear, Module, Weight, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { MaskedHead, type MaskedWords } from "../shared/masked-head.ts";
import type { BertConfig } from "./config.ts";
import type { BertInputs } from "./embeddings.ts";
import { BERT } from "./family.ts";
import { BertModel, type BertOutputs } from "./model.ts";

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

class PredictionHeads extends Module {
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

export type MaskedInputs = BertInputs & MaskedWords;

export class BertForMaskedLM extends MaskedHead<BertConfig, MaskedInputs, BertOutputs> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  static readonly architecture: string = "BertForMaskedLM";
  declare readonly bert: BertModel;
  readonly cls: PredictionHeads;

  constructor(config: BertConfig) {
    super(config, new BertModel(config, { pooler: false }));
    this.cls = new PredictionHeads(config);
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

  protected score(hidden: Tensor): Tensor {
    return this.cls.forward(hidden, this.bert.embeddings.word_embeddings.weight);
  }
}
