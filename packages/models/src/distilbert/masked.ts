/** DistilBERT's masked language model: hidden states are turned once more before they are compared with words. */
import { activation, LayerNorm, Linear, type Projection } from "@lowrank/nn";
import type { Tensor } from "@lowrank/tensor";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import type { TextInputs } from "../shared/inputs.ts";
import { MaskedHead, type MaskedWords } from "../shared/masked-head.ts";
import { outputLayer, type WordHead } from "../shared/output-layer.ts";
import type { HiddenOutputs } from "../shared/outputs.ts";
import type { DistilBertConfig } from "./config.ts";
import { DISTILBERT } from "./family.ts";
import { DistilBertModel, EPS } from "./model.ts";

export type DistilBertMaskedInputs = TextInputs & MaskedWords;

export class DistilBertForMaskedLM extends MaskedHead<DistilBertConfig, DistilBertMaskedInputs, HiddenOutputs> {
  static readonly family: ModelFamily<DistilBertConfig> = DISTILBERT;
  static readonly architecture: string = "DistilBertForMaskedLM";
  declare readonly distilbert: DistilBertModel;
  readonly vocab_transform: Projection;
  readonly vocab_layer_norm: LayerNorm;
  readonly vocab_projector: Projection;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: DistilBertConfig) {
    const base = new DistilBertModel(config);
    super(config, base);
    const { weight } = base.embeddings.word_embeddings;
    this.vocab_transform = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.vocab_layer_norm = new LayerNorm(config.hiddenSize, EPS);
    // tied or not, the bias is its own
    this.vocab_projector = outputLayer(weight, config.tieWordEmbeddings, initOf(config), { bias: true });
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  override get tied(): ReadonlyMap<string, string> {
    const table = "distilbert.embeddings.word_embeddings.weight";
    return new Map(this.config.tieWordEmbeddings ? [[table, "vocab_projector.weight"]] : []);
  }

  protected turn(hidden: Tensor): Tensor {
    return this.vocab_layer_norm.forward(this.#activation(this.vocab_transform.forward(hidden)));
  }

  protected get words(): WordHead {
    return this.vocab_projector;
  }
}
