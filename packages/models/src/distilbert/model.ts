/** DistilBERT (Sanh et al. 2019): half of BERT's layers, no token types, no pooler, names of its own. */
import { activation, Block, Dropout, Embedding, LayerNorm, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { attend, encoderSight, keyMask, splitHeads } from "../shared/attention.ts";
import { initOf, paddingIndex } from "../shared/config.ts";
import { checkBeside, textShape, type InputRules, type TextInputs } from "../shared/inputs.ts";
import { runLayers, type HiddenOutputs, type LayerOutput } from "../shared/outputs.ts";
import type { DistilBertConfig } from "./config.ts";
import { DISTILBERT } from "./family.ts";

/** Of its norms; DistilBERT's config has no key for it. */
export const EPS = 1e-12;

class DistilBertEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: DistilBertConfig) {
    super();
    this.word_embeddings = new Embedding(
      config.vocabSize,
      config.hiddenSize,
      initOf(config),
      paddingIndex(config.padTokenId, config.vocabSize),
    );
    this.position_embeddings = new Embedding(config.maxPositionEmbeddings, config.hiddenSize, initOf(config));
    this.LayerNorm = new LayerNorm(config.hiddenSize, EPS);
    this.dropout = new Dropout(config.dropout);
  }

  forward(inputIds: Tensor): Tensor {
    return this.scoped(() => {
      const table = this.position_embeddings.weight;
      const [, length] = textShape(inputIds, table.shape[0]!);
      return this.dropout.forward(
        this.LayerNorm.forward(ops.add(this.word_embeddings.forward(inputIds), ops.slice(table.value, 0, 0, length))),
      );
    });
  }
}

class DistilBertAttention extends Module {
  readonly q_lin: Projection;
  readonly k_lin: Projection;
  readonly v_lin: Projection;
  readonly out_lin: Projection;
  readonly dropout: Dropout;
  readonly #heads: number;

  constructor(config: DistilBertConfig) {
    super();
    const make = (): Linear => new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.q_lin = make();
    this.k_lin = make();
    this.v_lin = make();
    this.out_lin = make();
    this.dropout = new Dropout(config.attentionDropout);
    this.#heads = config.numAttentionHeads;
  }

  forward(x: Tensor, mask: Tensor | undefined): LayerOutput {
    return this.scoped(() => {
      const [q, k, v] = [this.q_lin, this.k_lin, this.v_lin].map((p) => splitHeads(p.forward(x), this.#heads)) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const { hidden, weights } = attend(q, k, v, encoderSight(mask), this.dropout);
      return { hidden: this.out_lin.forward(hidden), weights };
    });
  }
}

class FeedForward extends Module {
  lin1: Projection;
  lin2: Projection;
  readonly dropout: Dropout;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: DistilBertConfig) {
    super();
    this.lin1 = new Linear(config.hiddenSize, config.intermediateSize, { init: initOf(config) });
    this.lin2 = new Linear(config.intermediateSize, config.hiddenSize, { init: initOf(config) });
    this.dropout = new Dropout(config.dropout);
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.dropout.forward(this.lin2.forward(this.#activation(this.lin1.forward(x)))));
  }
}

class DistilBertBlock extends Block {
  readonly attention: DistilBertAttention;
  readonly sa_layer_norm: LayerNorm;
  readonly ffn: FeedForward;
  readonly output_layer_norm: LayerNorm;

  constructor(config: DistilBertConfig) {
    super();
    this.attention = new DistilBertAttention(config);
    this.sa_layer_norm = new LayerNorm(config.hiddenSize, EPS);
    this.ffn = new FeedForward(config);
    this.output_layer_norm = new LayerNorm(config.hiddenSize, EPS);
  }

  forward(x: Tensor, mask: Tensor | undefined): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.attention.forward(x, mask);
      const middle = this.sa_layer_norm.forward(ops.add(hidden, x));
      return { hidden: this.output_layer_norm.forward(ops.add(this.ffn.forward(middle), middle)), weights };
    });
  }
}

class Transformer extends Module {
  readonly layer: DistilBertBlock[];

  constructor(config: DistilBertConfig) {
    super();
    this.layer = Array.from({ length: config.numHiddenLayers }, () => new DistilBertBlock(config));
  }

  forward(x: Tensor, attentionMask: Tensor | undefined): HiddenOutputs {
    return this.scoped(() => {
      const mask = keyMask(attentionMask);
      const { hiddenStates, attentions } = runLayers(x, this.layer, () => mask);
      return { lastHiddenState: hiddenStates[hiddenStates.length - 1]!, hiddenStates, attentions };
    });
  }
}

export class DistilBertModel extends PretrainedModel<DistilBertConfig, TextInputs, HiddenOutputs> {
  static readonly family: ModelFamily<DistilBertConfig> = DISTILBERT;
  static readonly architecture: string = "DistilBertModel";
  readonly embeddings: DistilBertEmbeddings;
  readonly transformer: Transformer;

  constructor(config: DistilBertConfig) {
    super(config);
    this.embeddings = new DistilBertEmbeddings(config);
    this.transformer = new Transformer(config);
  }

  get extraInputs(): InputRules {
    return {};
  }

  compute(inputs: TextInputs): HiddenOutputs {
    checkBeside({ attentionMask: inputs.attentionMask }, inputs.inputIds);
    return this.scoped(() => this.transformer.forward(this.embeddings.forward(inputs.inputIds), inputs.attentionMask));
  }
}
