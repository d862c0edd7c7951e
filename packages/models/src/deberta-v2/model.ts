/** DeBERTa-v2 and v3 (He et al. 2021, 2023): an encoder whose attention knows how far apart tokens are. */
import { Dropout, Embedding, LayerNorm, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { BertInputs } from "../bert/embeddings.ts";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { initOf, paddingIndex } from "../shared/config.ts";
import { anyTensor, checkBeside, textShape, type InputRules } from "../shared/inputs.ts";
import type { HiddenOutputs } from "../shared/outputs.ts";
import type { DebertaV2Config } from "./config.ts";
import { clear, DebertaEncoder } from "./encoder.ts";
import { DEBERTA_V2 } from "./family.ts";

/** Token types count for nothing where the config has none, as in transformers: tokenizers give them all the same. */
export type DebertaV2Inputs = BertInputs;

class DebertaEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding | undefined;
  readonly token_type_embeddings: Embedding | undefined;
  readonly embed_proj: Projection | undefined;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  readonly #config: DebertaV2Config;

  constructor(config: DebertaV2Config) {
    super();
    const { vocabSize, embeddingSize: width, hiddenSize, maxPositionEmbeddings, typeVocabSize } = config;
    const init = initOf(config);
    this.word_embeddings = new Embedding(vocabSize, width, init, paddingIndex(config.padTokenId, vocabSize));
    this.position_embeddings = config.positionBiasedInput
      ? new Embedding(maxPositionEmbeddings, width, init)
      : undefined;
    this.token_type_embeddings = typeVocabSize > 0 ? new Embedding(typeVocabSize, width, init) : undefined;
    this.embed_proj = width === hiddenSize ? undefined : new Linear(width, hiddenSize, { bias: false, init });
    this.LayerNorm = new LayerNorm(hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
    this.#config = config;
  }

  /** 0 at padding: real bool [batch, length]. */
  forward({ inputIds, tokenTypeIds }: DebertaV2Inputs, real: Tensor | undefined): Tensor {
    return this.scoped(() => {
      const { position_embeddings: positions, token_type_embeddings: types } = this;
      const { maxPositionEmbeddings, typeVocabSize: size } = this.#config;
      const [, length] = textShape(inputIds, positions === undefined ? Infinity : maxPositionEmbeddings);
      let sum = this.word_embeddings.forward(inputIds);
      if (positions !== undefined) sum = ops.add(sum, ops.slice(positions.weight.value, 0, 0, length));
      if (types !== undefined)
        sum = ops.add(
          sum,
          tokenTypeIds === undefined
            ? ops.slice(types.weight.value, 0, 0, 1)
            : types.forward(ops.checkIndices(tokenTypeIds, { size, op: "embeddings", name: "token type" })),
        );
      return this.dropout.forward(clear(this.LayerNorm.forward(this.embed_proj?.forward(sum) ?? sum), real));
    });
  }
}

export class DebertaV2Model extends PretrainedModel<DebertaV2Config, DebertaV2Inputs, HiddenOutputs> {
  static readonly family: ModelFamily<DebertaV2Config> = DEBERTA_V2;
  static readonly architecture: string = "DebertaV2Model";
  readonly embeddings: DebertaEmbeddings;
  readonly encoder: DebertaEncoder;

  constructor(config: DebertaV2Config) {
    super(config);
    this.embeddings = new DebertaEmbeddings(config);
    this.encoder = new DebertaEncoder(config);
  }

  get extraInputs(): InputRules {
    return { tokenTypeIds: anyTensor };
  }

  compute(inputs: DebertaV2Inputs): HiddenOutputs {
    const { inputIds, attentionMask, tokenTypeIds } = inputs;
    checkBeside({ attentionMask, tokenTypeIds }, inputIds);
    return this.scoped(() => {
      const real = attentionMask === undefined ? undefined : ops.cast(attentionMask, "bool");
      return this.encoder.forward(this.embeddings.forward(inputs, real), real);
    });
  }
}
