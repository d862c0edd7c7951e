/** Llama's block: attention and a gated feed-forward, each behind an RMS norm. Property names are checkpoint names. */
import { activation, Block, Linear, Module, RMSNorm, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { initOf } from "../shared/config.ts";
import type { LayerOutput } from "../shared/outputs.ts";
import { LlamaAttention, type LlamaContext } from "./attention.ts";
import type { LlamaConfig } from "./config.ts";
import type { LlamaVariant } from "./variant.ts";

export class LlamaMLP extends Module {
  readonly gate_proj: Projection;
  readonly up_proj: Projection;
  readonly down_proj: Projection;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: LlamaConfig) {
    super();
    const options = { bias: config.mlpBias, init: initOf(config) };
    this.gate_proj = new Linear(config.hiddenSize, config.intermediateSize, options);
    this.up_proj = new Linear(config.hiddenSize, config.intermediateSize, options);
    this.down_proj = new Linear(config.intermediateSize, config.hiddenSize, options);
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  /** down(act(gate(x)) ⊙ up(x)) (Shazeer 2020). */
  forward(x: Tensor): Tensor {
    return this.scoped(() =>
      this.down_proj.forward(ops.mul(this.#activation(this.gate_proj.forward(x)), this.up_proj.forward(x))),
    );
  }
}

export class LlamaLayer extends Block {
  readonly self_attn: LlamaAttention;
  readonly mlp: LlamaMLP;
  readonly input_layernorm: RMSNorm;
  /** The feed-forward's own norm, or with norms around, the one behind attention. */
  readonly post_attention_layernorm: RMSNorm;
  readonly pre_feedforward_layernorm: RMSNorm | undefined;
  readonly post_feedforward_layernorm: RMSNorm | undefined;

  constructor(config: LlamaConfig, variant: LlamaVariant = {}) {
    super();
    const norm = (): RMSNorm => new RMSNorm(config.hiddenSize, config.rmsNormEps, variant.normOffset);
    const around = variant.norms === "around";
    this.self_attn = new LlamaAttention(config, variant);
    this.mlp = new LlamaMLP(config);
    this.input_layernorm = norm();
    this.post_attention_layernorm = norm();
    this.pre_feedforward_layernorm = around ? norm() : undefined;
    this.post_feedforward_layernorm = around ? norm() : undefined;
  }

  /** x + half(norm(x)) for both halves; with norms around, x + norm(half(norm(x))). */
  forward(x: Tensor, context: LlamaContext): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.self_attn.forward(this.input_layernorm.forward(x), context);
      const { post_attention_layernorm: second, pre_feedforward_layernorm: third } = this;
      if (third === undefined) {
        const middle = ops.add(x, hidden);
        return { hidden: ops.add(middle, this.mlp.forward(second.forward(middle))), weights };
      }
      const middle = ops.add(x, second.forward(hidden));
      const fed = this.post_feedforward_layernorm!.forward(this.mlp.forward(third.forward(middle)));
      return { hidden: ops.add(middle, fed), weights };
    });
  }
}
