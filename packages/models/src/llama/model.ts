/** Llama (Touvron et al. 2023): RMS norm before each half, rotary positions, shared key heads, a gated feed-forward. Property names are checkpoint names. */
import {
  activation,
  Block,
  Dropout,
  Embedding,
  Linear,
  Module,
  RMSNorm,
  type Init,
  type Projection,
} from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import type { Rule } from "@lowrank/tensor/check";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { attend, repeatHeads, splitHeads } from "../shared/attention.ts";
import { causalMask, causalWeights, outputLayer, type CausalMask } from "../shared/causal.ts";
import { paddingIndex } from "../shared/config.ts";
import { anyTensor, checkBeside, inputsRule, textShape, type TextInputs } from "../shared/inputs.ts";
import { nextTokenLoss } from "../shared/losses.ts";
import { runLayers, type HeadOutputs, type HiddenOutputs, type LayerOutput } from "../shared/outputs.ts";
import { Rotary, type RotaryTables } from "../shared/rotary.ts";
import type { LlamaConfig } from "./config.ts";
import { LLAMA } from "./family.ts";

export interface LlamaInputs extends TextInputs {
  /** i32 [batch, length]. Default 0, 1, …; under left padding give `positionsOf(attentionMask)`. Where they start again a new text begins, which sees none before it. */
  readonly positionIds?: Tensor;
}

const INPUTS = inputsRule<LlamaInputs>({ positionIds: anyTensor });

/** What a layer needs besides the hidden state; the same for all of them. */
interface Context {
  readonly mask: CausalMask;
  readonly rotary: RotaryTables;
}

function initOf(config: LlamaConfig): Init {
  return { kind: "normal", std: config.initializerRange };
}

class LlamaAttention extends Module {
  readonly q_proj: Projection;
  readonly k_proj: Projection;
  readonly v_proj: Projection;
  readonly o_proj: Projection;
  readonly dropout: Dropout;
  readonly #heads: number;
  readonly #keyHeads: number;

  constructor(config: LlamaConfig) {
    super();
    const options = { bias: config.attentionBias, init: initOf(config) };
    this.q_proj = new Linear(config.hiddenSize, config.numAttentionHeads * config.headDim, options);
    this.k_proj = new Linear(config.hiddenSize, config.numKeyValueHeads * config.headDim, options);
    this.v_proj = new Linear(config.hiddenSize, config.numKeyValueHeads * config.headDim, options);
    this.o_proj = new Linear(config.numAttentionHeads * config.headDim, config.hiddenSize, options);
    this.dropout = new Dropout(config.attentionDropout);
    this.#heads = config.numAttentionHeads;
    this.#keyHeads = config.numKeyValueHeads;
  }

  forward(x: Tensor, { mask, rotary: { cos, sin } }: Context): LayerOutput {
    return this.scoped(() => {
      const times = this.#heads / this.#keyHeads;
      const q = ops.rope(splitHeads(this.q_proj.forward(x), this.#heads), cos, sin);
      const k = repeatHeads(ops.rope(splitHeads(this.k_proj.forward(x), this.#keyHeads), cos, sin), times);
      const v = repeatHeads(splitHeads(this.v_proj.forward(x), this.#keyHeads), times);
      const { hidden, weights } = attend(q, k, v, {
        weights: (bq, bk, from) => causalWeights(bq, bk, mask, undefined, from),
        causal: mask.blind === undefined,
        dropout: this.dropout,
      });
      return { hidden: this.o_proj.forward(hidden), weights };
    });
  }
}

class LlamaMLP extends Module {
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

class LlamaLayer extends Block {
  readonly self_attn: LlamaAttention;
  readonly mlp: LlamaMLP;
  readonly input_layernorm: RMSNorm;
  readonly post_attention_layernorm: RMSNorm;

  constructor(config: LlamaConfig) {
    super();
    this.self_attn = new LlamaAttention(config);
    this.mlp = new LlamaMLP(config);
    this.input_layernorm = new RMSNorm(config.hiddenSize, config.rmsNormEps);
    this.post_attention_layernorm = new RMSNorm(config.hiddenSize, config.rmsNormEps);
  }

  forward(x: Tensor, context: Context): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.self_attn.forward(this.input_layernorm.forward(x), context);
      const middle = ops.add(x, hidden);
      return { hidden: ops.add(middle, this.mlp.forward(this.post_attention_layernorm.forward(middle))), weights };
    });
  }
}

export class LlamaModel extends PretrainedModel<LlamaConfig, LlamaInputs, HiddenOutputs> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture = "LlamaModel";
  readonly basePrefix = "";
  readonly embed_tokens: Embedding;
  readonly layers: LlamaLayer[];
  readonly norm: RMSNorm;
  readonly #rotary: Rotary;

  constructor(config: LlamaConfig) {
    super(config);
    this.embed_tokens = new Embedding(
      config.vocabSize,
      config.hiddenSize,
      initOf(config),
      paddingIndex(config.padTokenId, config.vocabSize),
    );
    this.layers = Array.from({ length: config.numHiddenLayers }, () => new LlamaLayer(config));
    this.norm = new RMSNorm(config.hiddenSize, config.rmsNormEps);
    const { ropeTheta: theta, headDim: width, maxPositionEmbeddings: maxPositions } = config;
    this.#rotary = new Rotary({ theta, width, maxPositions });
  }

  get inputsRule(): Rule<LlamaInputs> {
    return INPUTS;
  }

  /** Of the hidden states the last is after the final norm. */
  compute({ inputIds, attentionMask, positionIds }: LlamaInputs): HiddenOutputs {
    return this.scoped(() => {
      textShape(inputIds, positionIds === undefined ? this.config.maxPositionEmbeddings : Infinity);
      checkBeside({ attentionMask, positionIds }, inputIds);
      const x = this.embed_tokens.forward(inputIds);
      const context = {
        mask: causalMask(attentionMask, positionIds),
        rotary: this.#rotary.tables(x, positionIds),
      };
      const { hiddenStates, attentions } = runLayers(x, this.layers, context);
      const lastHiddenState = this.norm.forward(hiddenStates[hiddenStates.length - 1]!);
      return { lastHiddenState, hiddenStates: [...hiddenStates.slice(0, -1), lastHiddenState], attentions };
    });
  }
}

export interface LlamaCausalInputs extends LlamaInputs {
  /** i32 [batch, length], the tokens themselves; they are shifted inside. −100 counts for nothing. */
  readonly labels?: Tensor;
}

const CAUSAL_INPUTS = inputsRule<LlamaCausalInputs>({ positionIds: anyTensor, labels: anyTensor });

export class LlamaForCausalLM extends PretrainedModel<LlamaConfig, LlamaCausalInputs, HiddenOutputs & HeadOutputs> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture = "LlamaForCausalLM";
  readonly basePrefix: string = LLAMA.basePrefix;
  readonly model: LlamaModel;
  readonly lm_head: Projection;

  constructor(config: LlamaConfig) {
    super(config);
    this.model = new LlamaModel(config);
    this.lm_head = outputLayer(this.model.embed_tokens.weight, config.tieWordEmbeddings, initOf(config));
  }

  override get tied(): ReadonlyMap<string, string> {
    return new Map(this.config.tieWordEmbeddings ? [["model.embed_tokens.weight", "lm_head.weight"]] : []);
  }

  get inputsRule(): Rule<LlamaCausalInputs> {
    return CAUSAL_INPUTS;
  }

  /** logits [batch, length, vocab]. */
  compute(inputs: LlamaCausalInputs): HiddenOutputs & HeadOutputs {
    const base = this.model.compute(inputs);
    const logits = this.lm_head.forward(base.lastHiddenState);
    return { ...base, logits, loss: nextTokenLoss(logits, inputs.labels) };
  }
}
