/** RoBERTa (Liu et al. 2019): BERT's encoder under positions that count from pad_token_id + 1 and skip padding. */
import { ops, type Tensor } from "@lowrank/tensor";
import { BertEmbeddings } from "../bert/embeddings.ts";
import { BertBody } from "../bert/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import { textShape } from "../shared/inputs.ts";
import type { RobertaConfig } from "./config.ts";
import { ROBERTA } from "./family.ts";

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

export class RobertaModel extends BertBody<RobertaConfig> {
  static readonly family: ModelFamily<RobertaConfig> = ROBERTA;
  static readonly architecture: string = "RobertaModel";

  constructor(config: RobertaConfig, options: { pooler?: boolean } = {}) {
    super(config, new RobertaEmbeddings(config), options);
  }
}
