/** RoBERTa (Liu et al. 2019): BERT's encoder under positions that count from pad_token_id + 1 and skip padding. */
import { ops, type Tensor } from "@lowrank/tensor";
import type { Rule } from "@lowrank/tensor/check";
import { BertEmbeddings, type BertInputs } from "../bert/embeddings.ts";
import { BertEncoder, BertPooler } from "../bert/encoder.ts";
import type { BertOutputs } from "../bert/model.ts";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { anyTensor, inputsRule, textShape } from "../shared/inputs.ts";
import { parseRobertaConfig, robertaConfigFile, type RobertaConfig } from "./config.ts";

export const ROBERTA: ModelFamily<RobertaConfig> = {
  modelType: "roberta", basePrefix: "roberta.", sizeKeys: [["vocab_size"], ["hidden_size"], ["num_hidden_layers"], ["num_attention_heads"]], parse: parseRobertaConfig, file: robertaConfigFile,
};

const INPUTS = inputsRule<BertInputs>({ tokenTypeIds: anyTensor });

class RobertaEmbeddings extends BertEmbeddings {
  constructor(config: RobertaConfig) {
    super(config, config.padTokenId);
  }

  /** Padding is told by its id, not by the mask, and has the position pad_token_id. */
  protected override positions(inputIds: Tensor): Tensor {
    // a config without one is counted, and never computed with
    const { maxPositionEmbeddings, padTokenId = 0 } = this.config;
    textShape(inputIds, maxPositionEmbeddings - padTokenId - 1);
    const real = ops.cast(ops.ne(inputIds, padTokenId), "i32");
    return this.position_embeddings.forward(ops.add(ops.mul(ops.cumsum(real, 1), real), padTokenId));
  }
}

export class RobertaModel extends PretrainedModel<RobertaConfig, BertInputs, BertOutputs> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture = "RobertaModel";
  readonly basePrefix = "";
  readonly embeddings: RobertaEmbeddings;
  readonly encoder: BertEncoder;
  readonly pooler: BertPooler | undefined;

  constructor(config: RobertaConfig, options: { pooler?: boolean } = {}) {
    super(config);
    this.embeddings = new RobertaEmbeddings(config);
    this.encoder = new BertEncoder(config);
    this.pooler = options.pooler === false ? undefined : new BertPooler(config);
  }

  get inputsRule(): Rule<BertInputs> { return INPUTS; }

  compute(inputs: BertInputs): BertOutputs {
    return this.scoped(() => {
      const out = this.encoder.forward(this.embeddings.forward(inputs), inputs.attentionMask);
      return { ...out, pooled: this.pooler?.forward(out.lastHiddenState) };
    });
  }
}
