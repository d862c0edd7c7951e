/** Llama's attention: rotary positions, and heads of keys and values that serve several of queries. Property names are checkpoint names. */
import { Dropout, Linear, Module, RMSNorm, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { attend, splitHeads } from "../shared/attention.ts";
import { causalSight, type CausalMask } from "../shared/causal.ts";
import { initOf } from "../shared/config.ts";
import type { LayerOutput } from "../shared/outputs.ts";
import type { RotaryTables } from "../shared/rotary.ts";
import type { LlamaConfig } from "./config.ts";
import type { LlamaVariant } from "./variant.ts";

/** What a layer needs besides the hidden state; the same for all layers with one window and the same rotary angles. */
export interface LlamaContext {
  readonly mask: CausalMask;
  readonly rotary: RotaryTables;
}

export class LlamaAttention extends Module {
  readonly q_proj: Projection;
  readonly k_proj: Projection;
  readonly v_proj: Projection;
  readonly o_proj: Projection;
  readonly q_norm: RMSNorm | undefined;
  readonly k_norm: RMSNorm | undefined;
  readonly dropout: Dropout;
  readonly #heads: number;
  readonly #keyHeads: number;
  readonly #scale: number | undefined;

  constructor(config: LlamaConfig, variant: LlamaVariant = {}) {
    super();
    const { hiddenSize, headDim, numAttentionHeads: heads, numKeyValueHeads: keyHeads } = config;
    const { qkvBias = config.attentionBias, outputBias = config.attentionBias, headNorms = false, scale } = variant;
    const linear = (inner: number, outer: number, bias: boolean): Linear =>
      new Linear(inner, outer, { bias, init: initOf(config) });
    const norm = (): RMSNorm | undefined =>
      headNorms ? new RMSNorm(headDim, config.rmsNormEps, variant.normOffset) : undefined;
    this.q_proj = linear(hiddenSize, heads * headDim, qkvBias);
    this.k_proj = linear(hiddenSize, keyHeads * headDim, qkvBias);
    this.v_proj = linear(hiddenSize, keyHeads * headDim, qkvBias);
    this.o_proj = linear(heads * headDim, hiddenSize, outputBias);
    this.q_norm = norm();
    this.k_norm = norm();
    this.dropout = new Dropout(config.attentionDropout);
    this.#heads = heads;
    this.#keyHeads = keyHeads;
    this.#scale = scale;
  }

  /** x [batch, length, hidden]. */
  forward(x: Tensor, { mask, rotary: { cos, sin } }: LlamaContext): LayerOutput {
    return this.scoped(() => {
      const turned = (projection: Projection, heads: number, norm: RMSNorm | undefined): Tensor => {
        const split = splitHeads(projection.forward(x), heads);
        return ops.rope(norm?.forward(split) ?? split, cos, sin);
      };
      const q = turned(this.q_proj, this.#heads, this.q_norm);
      const k = turned(this.k_proj, this.#keyHeads, this.k_norm);
      const v = splitHeads(this.v_proj.forward(x), this.#keyHeads);
      const { hidden, weights } = attend(q, k, v, causalSight(mask, { scale: this.#scale }), this.dropout);
      return { hidden: this.o_proj.forward(hidden), weights };
    });
  }
}
