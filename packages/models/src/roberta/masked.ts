/** RoBERTa's masked language model: hidden states are turned once more before they are compared with words. */
import { LayerNorm, Linear, Module, Weight, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { MaskedInputs } from "../bert/masked.ts";
import type { BertOutputs } from "../bert/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import { initOf } from "../shared/config.ts";
import { MaskedHead } from "../shared/masked-head.ts";
import { tableHead, type WordHead } from "../shared/output-layer.ts";
import type { RobertaConfig } from "./config.ts";
import { ROBERTA } from "./family.ts";
import { RobertaModel } from "./model.ts";

class RobertaLMHead extends Module {
  readonly dense: Projection;
  readonly layer_norm: LayerNorm;
  /** The decoder's bias where it is tied; without a use otherwise, and in the file all the same. */
  readonly bias: Weight;
  /** Undefined where the word embeddings are the decoder. */
  readonly decoder: Projection | undefined;

  constructor(config: RobertaConfig) {
    super();
    const { hiddenSize, vocabSize, layerNormEps, tieWordEmbeddings } = config;
    this.dense = new Linear(hiddenSize, hiddenSize, { init: initOf(config) });
    this.layer_norm = new LayerNorm(hiddenSize, layerNormEps);
    this.bias = new Weight([vocabSize], { kind: "zeros" });
    this.decoder = tieWordEmbeddings ? undefined : new Linear(hiddenSize, vocabSize, { init: initOf(config) });
  }

  /** x […, hidden]; GELU whatever `hidden_act` says. */
  turn(x: Tensor): Tensor {
    return this.scoped(() => this.layer_norm.forward(ops.gelu(this.dense.forward(x), "none")));
  }

  words(embeddings: Weight): WordHead {
    return this.decoder ?? tableHead(embeddings, this.bias, (body) => this.scoped(body));
  }
}

export class RobertaForMaskedLM extends MaskedHead<RobertaConfig, MaskedInputs, BertOutputs> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture: string = "RobertaForMaskedLM";
  declare readonly roberta: RobertaModel;
  readonly lm_head: RobertaLMHead;

  constructor(config: RobertaConfig) {
    super(config, new RobertaModel(config, { pooler: false }));
    this.lm_head = new RobertaLMHead(config);
  }

  override get tied(): ReadonlyMap<string, string> {
    const [bias, decoder] = ["lm_head.bias", "lm_head.decoder"];
    // older files have one bias, tied or not
    return new Map(
      this.config.tieWordEmbeddings
        ? [
            ["roberta.embeddings.word_embeddings.weight", `${decoder}.weight`],
            [bias, `${decoder}.bias`],
          ]
        : [[`${decoder}.bias`, bias]],
    );
  }

  protected turn(hidden: Tensor): Tensor {
    return this.lm_head.turn(hidden);
  }

  protected get words(): WordHead {
    return this.lm_head.words(this.roberta.embeddings.word_embeddings.weight);
  }
}
