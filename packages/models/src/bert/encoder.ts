/** BERT's encoder (Devlin et al. 2019): post-norm blocks and pooler. Property names are checkpoint names. */
import { activation, Block, Dropout, LayerNorm, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { attend, encoderSight, keyMask, splitHeads } from "../shared/attention.ts";
import { initOf } from "../shared/config.ts";
import { firstToken } from "../shared/inputs.ts";
import { runLayers, type HiddenOutputs, type LayerOutput } from "../shared/outputs.ts";
import type { BertConfig } from "./config.ts";

class BertSelfAttention extends Module {
  readonly query: Projection;
  readonly key: Projection;
  readonly value: Projection;
  readonly dropout: Dropout;
  readonly #heads: number;

  constructor(config: BertConfig) {
    super();
    const make = (): Linear => new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.query = make();
    this.key = make();
    this.value = make();
    this.dropout = new Dropout(config.attentionProbsDropoutProb);
    this.#heads = config.numAttentionHeads;
  }

  /** x [batch, length, hidden], mask bool [batch, 1, 1, length]. */
  forward(x: Tensor, mask: Tensor | undefined): LayerOutput {
    return this.scoped(() => {
      const [q, k, v] = [this.query, this.key, this.value].map((p) => splitHeads(p.forward(x), this.#heads)) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      return attend(q, k, v, encoderSight(mask), this.dropout);
    });
  }
}

/** LayerNorm(residual + dropout(dense(x))): the end of both halves of a block. */
export class BertOutput extends Module {
  readonly dense: Projection;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(inputs: number, config: BertConfig) {
    super();
    this.dense = new Linear(inputs, config.hiddenSize, { init: initOf(config) });
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.scoped(() => this.LayerNorm.forward(ops.add(this.dropout.forward(this.dense.forward(x)), residual)));
  }
}

class BertAttention extends Module {
  readonly self: BertSelfAttention;
  readonly output: BertOutput;

  constructor(config: BertConfig) {
    super();
    this.self = new BertSelfAttention(config);
    this.output = new BertOutput(config.hiddenSize, config);
  }

  forward(x: Tensor, mask: Tensor | undefined): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.self.forward(x, mask);
      return { hidden: this.output.forward(hidden, x), weights };
    });
  }
}

export class BertIntermediate extends Module {
  readonly dense: Projection;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.intermediateSize, { init: initOf(config) });
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.#activation(this.dense.forward(x)));
  }
}

class BertLayer extends Block {
  readonly attention: BertAttention;
  readonly intermediate: BertIntermediate;
  readonly output: BertOutput;

  constructor(config: BertConfig) {
    super();
    this.attention = new BertAttention(config);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertOutput(config.intermediateSize, config);
  }

  forward(x: Tensor, mask: Tensor | undefined): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.attention.forward(x, mask);
      return { hidden: this.output.forward(this.intermediate.forward(hidden), hidden), weights };
    });
  }
}

export class BertEncoder extends Module {
  readonly layer: BertLayer[];

  constructor(config: BertConfig) {
    super();
    this.layer = Array.from({ length: config.numHiddenLayers }, () => new BertLayer(config));
  }

  /** x [batch, length, hidden], attentionMask [batch, length]. */
  forward(x: Tensor, attentionMask: Tensor | undefined): HiddenOutputs {
    return this.scoped(() => {
      const mask = keyMask(attentionMask);
      const { hiddenStates, attentions } = runLayers(x, this.layer, () => mask);
      return { lastHiddenState: hiddenStates[hiddenStates.length - 1]!, hiddenStates, attentions };
    });
  }
}

export class BertPooler extends Module {
  readonly dense: Projection;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
  }

  /** tanh(dense(first token)). */
  forward(hidden: Tensor): Tensor {
    return this.scoped(() => ops.tanh(this.dense.forward(firstToken(hidden))));
  }
}
