/** Qwen 2 (Yang et al. 2024): Llama with biases of queries, keys and values, and windows in some layers. */
import { LlamaBody } from "../llama/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import { qwenLayer, type Qwen2Config } from "./config.ts";
import { QWEN2 } from "./family.ts";

export class Qwen2Model extends LlamaBody<Qwen2Config> {
  static readonly family: ModelFamily<Qwen2Config> = QWEN2;
  static readonly architecture: string = "Qwen2Model";

  constructor(config: Qwen2Config) {
    super(config, { qkvBias: true, layer: (i) => qwenLayer(config, i) });
  }
}
