/** BERT's masked language model: its head turns hidden states once more before it compares them with words. */
import { activation, LayerNorm, Linear, Module, Weight, type Projection } from "@lowrank/nn";
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { MaskedHead, type MaskedWords } from "../shared/masked-head.ts";
import { tableHead, type WordHead } from "../shared/output-layer.ts";
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

  turn(x: Tensor): Tensor {
    return this.scoped(() => this.transform.forward(x));
  }

  /** The decoder or, where the two are tied, the word embeddings. */
  words(embeddings: Weight, within: <T>(body: () => T) => T): WordHead {
    return this.decoder ?? tableHead(embeddings, this.bias, (body) => within(() => this.scoped(body)));
  }
}

class PredictionHeads extends Module {
  readonly predictions: PredictionHead;

  constructor(config: BertConfig) {
    super();
    this.predictions = new PredictionHead(config);
  }

  turn(x: Tensor): Tensor {
    return this.scoped(() => this.predictions.turn(x));
  }

  words(embeddings: Weight): WordHead {
    return this.predictions.words(embeddings, (body) => this.scoped(body));
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

  protected turn(hidden: Tensor): Tensor {
    return this.cls.turn(hidden);
  }

  protected get words(): WordHead {
    return this.cls.words(this.bert.embeddings.word_embeddings.weight);
  }
}
