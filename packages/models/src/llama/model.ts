/** Llama (Touvron et al. 2023): a decoder of pre-norm blocks with rotary positions. Property names are checkpoint names. */
import { Embedding, RMSNorm } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { PretrainedModel, type ModelFamily } from "../pretrained.ts";
import { causalMask } from "../shared/causal.ts";
import { initOf, paddingIndex } from "../shared/config.ts";
import { aCacheStep, anyTensor, checkBeside, textShape, type InputRules, type TextInputs } from "../shared/inputs.ts";
import type { CacheShape, CacheStep } from "../shared/key-value-cache.ts";
import { runLayers, type HiddenOutputs } from "../shared/outputs.ts";
import { DynamicRotary } from "../shared/dynamic-rotary.ts";
import { reach } from "../shared/rope-scaling.ts";
import { Rotary, type RotaryAngles } from "../shared/rotary.ts";
import type { LlamaContext } from "./attention.ts";
import type { LlamaConfig } from "./config.ts";
import { LLAMA } from "./family.ts";
import { LlamaLayer } from "./layer.ts";
import type { LlamaVariant } from "./variant.ts";

export interface LlamaInputs extends TextInputs {
  /** i32 [batch, length]. Default 0, 1, …; under left padding give `positionsOf(attentionMask)`. Where they start again a new text begins, which sees none before it. */
  readonly positionIds?: Tensor;
  /** Where the text grows token by token: what is kept of it. Positions must be given then, and are of one text. */
  readonly cache?: CacheStep;
}

/** A layer's window and rotary angles. */
interface LayerKind {
  readonly window: number | undefined;
  readonly rotary: RotaryAngles;
}

/**
 * Rotary angles of a config's heads.
 * @param maxPositions how far they reach at most. Default: as far as the scaling does
 */
export function rotaryOf(
  { headDim: width, maxPositionEmbeddings, rope }: Pick<LlamaConfig, "headDim" | "maxPositionEmbeddings" | "rope">,
  maxPositions: number = reach(maxPositionEmbeddings, rope.scaling),
): RotaryAngles {
  const { theta, scaling } = rope;
  return scaling.kind === "dynamic"
    ? new DynamicRotary({ theta, width, scaling })
    : new Rotary({ theta, width, scaling, maxPositions });
}

/** Llama's body, and with a variant that of the families that follow it. */
export abstract class LlamaBody<Config extends LlamaConfig> extends PretrainedModel<
  Config,
  LlamaInputs,
  HiddenOutputs
> {
  readonly embed_tokens: Embedding;
  readonly layers: LlamaLayer[];
  readonly norm: RMSNorm;
  readonly #kinds: readonly LayerKind[];
  readonly #embeddingScale: number | undefined;

  constructor(config: Config, variant: LlamaVariant = {}) {
    super(config);
    const { vocabSize, hiddenSize, padTokenId } = config;
    const numbers = Array.from({ length: config.numHiddenLayers }, (_, i) => i);
    this.embed_tokens = new Embedding(vocabSize, hiddenSize, initOf(config), paddingIndex(padTokenId, vocabSize));
    this.layers = numbers.map(() => new LlamaLayer(config, variant));
    this.norm = new RMSNorm(hiddenSize, config.rmsNormEps, variant.normOffset);
    const usual = rotaryOf(config);
    this.#kinds = numbers.map((i) => {
      const { window, rotary = usual } = variant.layer?.(i) ?? {};
      return { window, rotary };
    });
    this.#embeddingScale = variant.embeddingScale;
  }

  get extraInputs(): InputRules {
    return { positionIds: anyTensor, cache: aCacheStep };
  }

  /** What a cache for texts that grow token by token has. */
  get cacheShape(): CacheShape {
    const { numKeyValueHeads: heads, headDim: width } = this.config;
    return { layers: this.#kinds.map(({ window }) => ({ heads, width, window })), positions: this.#positions };
  }

  get #positions(): number {
    return Math.min(...this.#kinds.map(({ rotary }) => rotary.maxPositions));
  }

  /** Of the hidden states the last is after the final norm. */
  compute(inputs: LlamaInputs): HiddenOutputs {
    return this.scoped(() => {
      const { inputIds, attentionMask, positionIds } = inputs;
      textShape(inputIds, positionIds === undefined ? this.#positions : Infinity);
      checkBeside({ attentionMask, positionIds }, inputIds);
      const words = this.embed_tokens.forward(inputIds);
      const x = this.#embeddingScale === undefined ? words : ops.mul(words, this.#embeddingScale);
      const contexts = this.#contexts(x, inputs);
      const { hiddenStates, attentions } = runLayers(x, this.layers, (i) => contexts[i]!);
      const lastHiddenState = this.norm.forward(hiddenStates[hiddenStates.length - 1]!);
      return { lastHiddenState, hiddenStates: [...hiddenStates.slice(0, -1), lastHiddenState], attentions };
    });
  }

  /** One for each layer; masks and tables are made once for all layers that share them, and before any layer runs. */
  #contexts(x: Tensor, { attentionMask, positionIds, cache }: LlamaInputs): readonly LlamaContext[] {
    const texts = cache === undefined ? positionIds : undefined;
    const masks = once(this.#kinds, "window", (window) => causalMask(attentionMask, texts, window));
    const tables = once(this.#kinds, "rotary", (rotary) => rotary.tables(x, positionIds, cache?.capacity));
    return this.#kinds.map(({ window, rotary }, i) => ({
      mask: { ...masks.get(window)!, cache: cache?.layer(i) },
      rotary: tables.get(rotary)!,
    }));
  }
}

/** What `make` gives for each value that some layer has. */
function once<K extends keyof LayerKind, T>(
  kinds: readonly LayerKind[],
  key: K,
  make: (value: LayerKind[K]) => T,
): Map<LayerKind[K], T> {
  return new Map([...new Set(kinds.map((kind) => kind[key]))].map((value) => [value, make(value)]));
}

export class LlamaModel extends LlamaBody<LlamaConfig> {
  static readonly family: ModelFamily<LlamaConfig> = LLAMA;
  static readonly architecture: string = "LlamaModel";

  constructor(config: LlamaConfig) {
    super(config);
  }
}
