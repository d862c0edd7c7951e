/** BERT's embeddings: words, positions and token types, added and normalized. */
import { Dropout, Embedding, LayerNorm, Module } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { initOf, paddingIndex } from "../shared/config.ts";
import { checkBeside, textShape, type TextInputs } from "../shared/inputs.ts";
import type { BertConfig } from "./config.ts";

export interface BertInputs extends TextInputs {
  /** i32 [batch, length]. Default 0. */
  readonly tokenTypeIds?: Tensor;
}

export class BertEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly token_type_embeddings: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  protected readonly config: BertConfig;

  constructor(config: BertConfig, positionPadding?: number) {
    super();
    this.config = config;
    const init = initOf(config);
    this.word_embeddings = new Embedding(
      config.vocabSize,
      config.hiddenSize,
      init,
      paddingIndex(config.padTokenId, config.vocabSize),
    );
    this.position_embeddings = new Embedding(config.maxPositionEmbeddings, config.hiddenSize, init, positionPadding);
    this.token_type_embeddings = new Embedding(config.typeVocabSize, config.hiddenSize, init);
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /** Rows of the position table, broadcastable to [batch, length, hidden]. */
  protected positions(inputIds: Tensor): Tensor {
    const [, length] = textShape(inputIds, this.config.maxPositionEmbeddings);
    // positions are the first rows of the table and types are almost always 0: slices, where a gather would need an index
    return ops.slice(this.position_embeddings.weight.value, 0, 0, length);
  }

  forward({ inputIds, attentionMask, tokenTypeIds }: BertInputs): Tensor {
    return this.scoped(() => {
      checkBeside({ attentionMask, tokenTypeIds }, inputIds);
      const positions = this.positions(inputIds);
      const types =
        tokenTypeIds === undefined
          ? ops.slice(this.token_type_embeddings.weight.value, 0, 0, 1)
          : this.token_type_embeddings.forward(
              ops.checkIndices(tokenTypeIds, { size: this.config.typeVocabSize, op: "embeddings", name: "token type" }),
            );
      const sum = ops.add(ops.add(this.word_embeddings.forward(inputIds), types), positions);
      return this.dropout.forward(this.LayerNorm.forward(sum));
    });
  }
}
