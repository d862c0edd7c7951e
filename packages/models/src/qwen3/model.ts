/** Qwen 3 (Yang et al. 2025): Llama with a norm of every head's queries and keys, and windows in some layers. */
import { LlamaBody } from "../llama/model.ts";
import type { ModelFamily } from "../pretrained.ts";
import { qwenLayer } from "../qwen2/config.ts";
import type { Qwen3Config } from "./config.ts";
import { QWEN3 } from "./family.ts";

export class Qwen3Model extends LlamaBody<Qwen3Config> {
  static readonly family: ModelFamily<Qwen3Config> = QWEN3;
  static readonly architecture: string = "Qwen3Model";

  constructor(config: Qwen3Config) {
    super(config, { headNorms: true, layer: (i) => qwenLayer(config, i) });
  }
}
