/** BERT's encoder (Devlin et al. 2019): embeddings, post-norm blocks, pooler. Property names are checkpoint names. */
import { activation, Dropout, Embedding, LayerNorm, Linear, Module, type Init, type Projection } from "@lowrank/nn";
import { LowrankError, ops, ShapeError, type Tensor } from "@lowrank/tensor";
import type { BertConfig } from "./config.ts";

export interface BertInputs {
  /** i32 [batch, length]. */
  readonly inputIds: Tensor;
  /** bool or 0/1 [batch, length]; true = may be attended. Default: everything. */
  readonly attentionMask?: Tensor;
  /** i32 [batch, length]. Default 0. */
  readonly tokenTypeIds?: Tensor;
}

export interface BertOutputs {
  /** [batch, length, hidden]. */
  readonly lastHiddenState: Tensor;
  /** [batch, hidden]; undefined without a pooler. */
  readonly pooled: Tensor | undefined;
  /** Embeddings, then each layer. */
  readonly hiddenStates: readonly Tensor[];
  /** Attention weights of each layer, [batch, heads, length, length]. */
  readonly attentions: readonly Tensor[];
}

export function initOf(config: BertConfig): Init {
  return { kind: "normal", std: config.initializerRange };
}

export class BertEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly token_type_embeddings: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  readonly #config: BertConfig;

  constructor(config: BertConfig) {
    super();
    this.#config = config;
    const init = initOf(config);
    this.word_embeddings = new Embedding(config.vocabSize, config.hiddenSize, init, config.padId);
    this.position_embeddings = new Embedding(config.maxPositions, config.hiddenSize, init);
    this.token_type_embeddings = new Embedding(config.typeVocabSize, config.hiddenSize, init);
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropout);
  }

  forward({ inputIds, tokenTypeIds }: BertInputs): Tensor {
    return this.scoped(() => {
      const [, length] = inputIds.shape as [number, number];
      if (length > this.#config.maxPositions) throw new LowrankError("ShapeError", `input of ${length} tokens is longer than the model's ${this.#config.maxPositions} positions; truncate it`);
      // positions are the first rows of the table and types are almost always 0: slices, where a gather would need an index
      const positions = ops.slice(this.position_embeddings.weight.value, 0, 0, length);
      const types = tokenTypeIds === undefined
        ? ops.slice(this.token_type_embeddings.weight.value, 0, 0, 1)
        : this.token_type_embeddings.forward(tokenTypeIds);
      const sum = ops.add(ops.add(this.word_embeddings.forward(inputIds), types), positions);
      return this.dropout.forward(this.LayerNorm.forward(sum));
    });
  }
}

class BertSelfAttention extends Module {
  query: Projection;
  key: Projection;
  value: Projection;
  readonly dropout: Dropout;
  readonly #heads: number;

  constructor(config: BertConfig) {
    super();
    const make = (): Linear => new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
    this.query = make();
    this.key = make();
    this.value = make();
    this.dropout = new Dropout(config.attentionDropout);
    this.#heads = config.heads;
  }

  /** x [batch, length, hidden], mask bool [batch, 1, 1, length]. */
  forward(x: Tensor, mask: Tensor | undefined): { context: Tensor; weights: Tensor } {
    return this.scoped(() => {
      const [batch, length, hidden] = x.shape as [number, number, number];
      const split = (y: Tensor): Tensor => ops.permute(ops.reshape(y, [batch, length, this.#heads, hidden / this.#heads]), [0, 2, 1, 3]);
      const [q, k, v] = [this.query, this.key, this.value].map((p) => split(p.forward(x))) as [Tensor, Tensor, Tensor];
      const weights = ops.attentionWeights(q, k, mask === undefined ? {} : { mask });
      const mixed = ops.matmul(this.dropout.forward(weights), v);
      return { context: ops.reshape(ops.permute(mixed, [0, 2, 1, 3]), [batch, length, hidden]), weights };
    });
  }
}

/** LayerNorm(residual + dropout(dense(x))): the end of both halves of a block. */
class BertOutput extends Module {
  dense: Projection;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(inputs: number, config: BertConfig) {
    super();
    this.dense = new Linear(inputs, config.hiddenSize, { init: initOf(config) });
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropout);
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

  forward(x: Tensor, mask: Tensor | undefined): { hidden: Tensor; weights: Tensor } {
    return this.scoped(() => {
      const { context, weights } = this.self.forward(x, mask);
      return { hidden: this.output.forward(context, x), weights };
    });
  }
}

class BertIntermediate extends Module {
  dense: Projection;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.intermediateSize, { init: initOf(config) });
    this.#activation = activation(config.activation);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.#activation(this.dense.forward(x)));
  }
}

class BertLayer extends Module {
  readonly attention: BertAttention;
  readonly intermediate: BertIntermediate;
  readonly output: BertOutput;

  constructor(config: BertConfig) {
    super();
    this.attention = new BertAttention(config);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertOutput(config.intermediateSize, config);
  }

  forward(x: Tensor, mask: Tensor | undefined): { hidden: Tensor; weights: Tensor } {
    return this.scoped(() => {
      const { hidden, weights } = this.attention.forward(x, mask);
      return { hidden: this.output.forward(this.intermediate.forward(hidden), hidden), weights };
    });
  }
}

class BertEncoder extends Module {
  readonly layer: BertLayer[];

  constructor(config: BertConfig) {
    super();
    this.layer = Array.from({ length: config.layers }, () => new BertLayer(config));
  }

  forward(x: Tensor, mask: Tensor | undefined): { hiddenStates: Tensor[]; attentions: Tensor[] } {
    return this.scoped(() => {
      const hiddenStates = [x];
      const attentions: Tensor[] = [];
      for (const layer of this.layer) {
        const { hidden, weights } = layer.forward(hiddenStates[hiddenStates.length - 1]!, mask);
        hiddenStates.push(hidden);
        attentions.push(weights);
      }
      return { hiddenStates, attentions };
    });
  }
}

class BertPooler extends Module {
  dense: Projection;

  constructor(config: BertConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { init: initOf(config) });
  }

  /** tanh(dense(first token)). */
  forward(hidden: Tensor): Tensor {
    return this.scoped(() => {
      const [batch, , size] = hidden.shape as [number, number, number];
      return ops.tanh(this.dense.forward(ops.reshape(ops.slice(hidden, 1, 0, 1), [batch, size])));
    });
  }
}

export class BertModel extends Module {
  readonly config: BertConfig;
  readonly embeddings: BertEmbeddings;
  readonly encoder: BertEncoder;
  readonly pooler: BertPooler | undefined;

  constructor(config: BertConfig, options: { pooler?: boolean } = {}) {
    super();
    this.config = config;
    this.embeddings = new BertEmbeddings(config);
    this.encoder = new BertEncoder(config);
    this.pooler = options.pooler === false ? undefined : new BertPooler(config);
  }

  forward(inputs: BertInputs): BertOutputs {
    return this.scoped(() => {
      const { inputIds, attentionMask } = inputs;
      if (inputIds.rank !== 2) throw new ShapeError(`inputIds must be [batch, length], got [${inputIds.shape.join(", ")}]`);
      const [batch, length] = inputIds.shape as [number, number];
      const mask = attentionMask === undefined ? undefined : ops.reshape(ops.cast(attentionMask, "bool"), [batch, 1, 1, length]);
      const { hiddenStates, attentions } = this.encoder.forward(this.embeddings.forward(inputs), mask);
      const lastHiddenState = hiddenStates[hiddenStates.length - 1]!;
      return { lastHiddenState, pooled: this.pooler?.forward(lastHiddenState), hiddenStates, attentions };
    });
  }
}
