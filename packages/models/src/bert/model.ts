/** The bare BERT: embeddings, encoder and, for tasks that look at a whole text, a pooler. */
import type { Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { anyTensor, type InputRules } from "../shared/inputs.ts";
import type { HiddenOutputs } from "../shared/outputs.ts";
import type { BertConfig } from "./config.ts";
import { BertEmbeddings, type BertInputs } from "./embeddings.ts";
import { BertEncoder, BertPooler } from "./encoder.ts";
import { BERT } from "./family.ts";

export interface BertOutputs extends HiddenOutputs {
  /** [batch, hidden]; undefined without a pooler. */
  readonly pooled: Tensor | undefined;
}

/** Encoder and pooler behind the embeddings of a family: BERT's own, or RoBERTa's, whose positions count otherwise. */
export abstract class BertBody<C extends BertConfig> extends PretrainedModel<C, BertInputs, BertOutputs> {
  readonly embeddings: BertEmbeddings;
  readonly encoder: BertEncoder;
  readonly pooler: BertPooler | undefined;

  constructor(config: C, embeddings: BertEmbeddings, { pooler = true }: { readonly pooler?: boolean | undefined }) {
    super(config);
    this.embeddings = embeddings;
    this.encoder = new BertEncoder(config);
    this.pooler = pooler ? new BertPooler(config) : undefined;
  }

  get extraInputs(): InputRules {
    return { tokenTypeIds: anyTensor };
  }

  compute(inputs: BertInputs): BertOutputs {
    return this.scoped(() => {
      const out = this.encoder.forward(this.embeddings.forward(inputs), inputs.attentionMask);
      return { ...out, pooled: this.pooler?.forward(out.lastHiddenState) };
    });
  }
}

export class BertModel extends BertBody<BertConfig> {
  static readonly family: ModelFamily<BertConfig> = BERT;
  static readonly architecture: string = "BertModel";

  constructor(config: BertConfig, options: { pooler?: boolean } = {}) {
    super(config, new BertEmbeddings(config), options);
  }
}
