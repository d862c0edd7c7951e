/** GPT-2 (Radford et al. 2019): pre-norm blocks whose projections are stored [in, out]. Property names are checkpoint names. */
import {
  activation,
  Block,
  Conv1D,
  Dropout,
  Embedding,
  LayerNorm,
  Module,
  type Init,
  type Projection,
} from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { attend, splitHeads } from "../shared/attention.ts";
import { causalMask, causalSight, type CausalMask } from "../shared/causal.ts";
import { initOf } from "../shared/config.ts";
import { aCacheStep, anyTensor, checkBeside, textShape, type InputRules, type TextInputs } from "../shared/inputs.ts";
import type { CacheShape, CacheStep } from "../shared/key-value-cache.ts";
import { runLayers, type HiddenOutputs, type LayerOutput } from "../shared/outputs.ts";
import type { GPT2Config } from "./config.ts";
import { GPT2 } from "./family.ts";

export interface GPT2Inputs extends TextInputs {
  /** i32 [batch, length]. Default 0, 1, … whatever the mask says, as in transformers; under left padding give `positionsOf(attentionMask)`. Where they start again a new text begins, which sees none before it. */
  readonly positionIds?: Tensor;
  /** Where the text grows token by token: what is kept of it. Positions must be given then, and are of one text. */
  readonly cache?: CacheStep;
}

/** Projections that end in the residual stream start smaller by the root of their number. */
function residualInit(config: GPT2Config): Init {
  return { kind: "normal", std: config.initializerRange / Math.sqrt(2 * config.numHiddenLayers) };
}

class GPT2Attention extends Module {
  readonly c_attn: Projection;
  readonly c_proj: Projection;
  readonly attn_dropout: Dropout;
  readonly resid_dropout: Dropout;
  readonly #heads: number;
  readonly #scale: number;

  constructor(config: GPT2Config, layer: number) {
    super();
    this.c_attn = new Conv1D(config.hiddenSize, 3 * config.hiddenSize, initOf(config));
    this.c_proj = new Conv1D(config.hiddenSize, config.hiddenSize, residualInit(config));
    this.attn_dropout = new Dropout(config.attnPdrop);
    this.resid_dropout = new Dropout(config.residPdrop);
    this.#heads = config.numAttentionHeads;
    this.#scale =
      (config.scaleAttnWeights ? 1 / Math.sqrt(config.hiddenSize / config.numAttentionHeads) : 1) /
      (config.scaleAttnByInverseLayerIdx ? layer + 1 : 1);
  }

  forward(x: Tensor, mask: CausalMask): LayerOutput {
    return this.scoped(() => {
      const all = this.c_attn.forward(x);
      const width = x.shape[2]!;
      const [q, k, v] = [0, 1, 2].map((i) =>
        splitHeads(ops.slice(all, -1, i * width, (i + 1) * width), this.#heads),
      ) as [Tensor, Tensor, Tensor];
      const { hidden, weights } = attend(q, k, v, causalSight(mask, { scale: this.#scale }), this.attn_dropout);
      return { hidden: this.resid_dropout.forward(this.c_proj.forward(hidden)), weights };
    });
  }
}

class GPT2MLP extends Module {
  readonly c_fc: Projection;
  readonly c_proj: Projection;
  readonly dropout: Dropout;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: GPT2Config) {
    super();
    this.c_fc = new Conv1D(config.hiddenSize, config.intermediateSize, initOf(config));
    this.c_proj = new Conv1D(config.intermediateSize, config.hiddenSize, residualInit(config));
    this.dropout = new Dropout(config.residPdrop);
    this.#activation = (x) => activation(config.hiddenAct)(x);
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => this.dropout.forward(this.c_proj.forward(this.#activation(this.c_fc.forward(x)))));
  }
}

class GPT2Block extends Block {
  readonly ln_1: LayerNorm;
  readonly attn: GPT2Attention;
  readonly ln_2: LayerNorm;
  readonly mlp: GPT2MLP;

  constructor(config: GPT2Config, layer: number) {
    super();
    this.ln_1 = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.attn = new GPT2Attention(config, layer);
    this.ln_2 = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.mlp = new GPT2MLP(config);
  }

  forward(x: Tensor, mask: CausalMask): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.attn.forward(this.ln_1.forward(x), mask);
      const middle = ops.add(x, hidden);
      return { hidden: ops.add(middle, this.mlp.forward(this.ln_2.forward(middle))), weights };
    });
  }
}

export class GPT2Model extends PretrainedModel<GPT2Config, GPT2Inputs, HiddenOutputs> {
  static readonly family: ModelFamily<GPT2Config> = GPT2;
  static readonly architecture: string = "GPT2Model";
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly drop: Dropout;
  readonly h: GPT2Block[];
  readonly ln_f: LayerNorm;

  constructor(config: GPT2Config) {
    super(config);
    this.wte = new Embedding(config.vocabSize, config.hiddenSize, initOf(config));
    this.wpe = new Embedding(config.maxPositionEmbeddings, config.hiddenSize, initOf(config));
    this.drop = new Dropout(config.embdPdrop);
    this.h = Array.from({ length: config.numHiddenLayers }, (_, i) => new GPT2Block(config, i));
    this.ln_f = new LayerNorm(config.hiddenSize, config.layerNormEps);
  }

  get extraInputs(): InputRules {
    return { positionIds: anyTensor, cache: aCacheStep };
  }

  /** What a cache for texts that grow token by token has. */
  get cacheShape(): CacheShape {
    const { numHiddenLayers, numAttentionHeads: heads, hiddenSize, maxPositionEmbeddings: positions } = this.config;
    return { layers: Array.from({ length: numHiddenLayers }, () => ({ heads, width: hiddenSize / heads })), positions };
  }

  /** Of the hidden states the last is after the final norm. */
  compute({ inputIds, attentionMask, positionIds, cache }: GPT2Inputs): HiddenOutputs {
    return this.scoped(() => {
      const [, length] = textShape(inputIds, positionIds === undefined ? this.config.maxPositionEmbeddings : Infinity);
      checkBeside({ attentionMask, positionIds }, inputIds);
      const positions =
        positionIds === undefined ? ops.slice(this.wpe.weight.value, 0, 0, length) : this.wpe.forward(positionIds);
      const x = this.drop.forward(ops.add(this.wte.forward(inputIds), positions));
      const mask = causalMask(attentionMask, cache === undefined ? positionIds : undefined);
      const { hiddenStates, attentions } = runLayers(x, this.h, (i) => ({ ...mask, cache: cache?.layer(i) }));
      const lastHiddenState = this.ln_f.forward(hiddenStates[hiddenStates.length - 1]!);
      return { lastHiddenState, hiddenStates: [...hiddenStates.slice(0, -1), lastHiddenState], attentions };
    });
  }
}
