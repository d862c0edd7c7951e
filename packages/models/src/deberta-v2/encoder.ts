/** DeBERTa's encoder: BERT's blocks around disentangled attention, and a convolution beside the first. Property names are checkpoint names. */
import { activation, Block, Dropout, Embedding, LayerNorm, Module, Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { BertIntermediate, BertOutput } from "../bert/encoder.ts";
import { initOf } from "../shared/config.ts";
import { runLayers, type HiddenOutputs, type LayerOutput } from "../shared/outputs.ts";
import { DisentangledSelfAttention, type DebertaContext } from "./attention.ts";
import type { DebertaV2Config } from "./config.ts";
import { Distances } from "./relative.ts";

class DebertaAttention extends Module {
  readonly self: DisentangledSelfAttention;
  readonly output: BertOutput;

  constructor(config: DebertaV2Config, distances: Distances) {
    super();
    this.self = new DisentangledSelfAttention(config, distances);
    this.output = new BertOutput(config.hiddenSize, config);
  }

  forward(x: Tensor, context: DebertaContext): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.self.forward(x, context);
      return { hidden: this.output.forward(hidden, x), weights };
    });
  }
}

class DebertaLayer extends Block {
  readonly attention: DebertaAttention;
  readonly intermediate: BertIntermediate;
  readonly output: BertOutput;

  constructor(config: DebertaV2Config, distances: Distances) {
    super();
    this.attention = new DebertaAttention(config, distances);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertOutput(config.intermediateSize, config);
  }

  forward(x: Tensor, context: DebertaContext): LayerOutput {
    return this.scoped(() => {
      const { hidden, weights } = this.attention.forward(x, context);
      return { hidden: this.output.forward(this.intermediate.forward(hidden), hidden), weights };
    });
  }
}

/** x [batch, length, in] → [batch, length, out]; weight [out, in, width], width odd, and as many zeros at both ends as keep the length. */
class Convolution extends Module {
  readonly weight: Weight;
  readonly bias: Weight;

  constructor(config: DebertaV2Config) {
    super();
    this.weight = new Weight([config.hiddenSize, config.hiddenSize, config.convKernelSize], initOf(config));
    this.bias = new Weight([config.hiddenSize], { kind: "zeros" });
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => {
      const [out, inner, width] = this.weight.shape as [number, number, number];
      const [batch, length] = x.shape as [number, number, number];
      const side = (width - 1) / 2;
      const padded = ops.pad(x, [
        [0, 0],
        [side, side],
        [0, 0],
      ]);
      // a product with what lies under the window, element by element of the window last as in the weight
      const moved = Array.from({ length: width }, (_, i) =>
        ops.reshape(ops.slice(padded, 1, i, i + length), [batch, length, inner, 1]),
      );
      const windows = ops.reshape(ops.concat(moved, 3), [batch, length, inner * width]);
      return ops.linear(windows, ops.reshape(this.weight.value, [out, inner * width]), this.bias.value);
    });
  }
}

/** LayerNorm(first layer's output + act(dropout(conv(first layer's input)))), and 0 at padding. */
class ConvLayer extends Module {
  readonly conv: Convolution;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(config: DebertaV2Config) {
    super();
    this.conv = new Convolution(config);
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
    this.#activation = (x) => activation(config.convAct)(x);
  }

  forward(input: Tensor, output: Tensor, real: Tensor | undefined): Tensor {
    return this.scoped(() => {
      const turned = this.#activation(this.dropout.forward(clear(this.conv.forward(input), real)));
      return clear(this.LayerNorm.forward(ops.add(output, turned)), real);
    });
  }
}

/** x [batch, length, hidden] with 0 at padding. */
export function clear(x: Tensor, real: Tensor | undefined): Tensor {
  return real === undefined ? x : ops.where(ops.reshape(real, [...real.shape, 1]), x, 0);
}

export class DebertaEncoder extends Module {
  readonly layer: DebertaLayer[];
  readonly rel_embeddings: Embedding | undefined;
  readonly LayerNorm: LayerNorm | undefined;
  readonly conv: ConvLayer | undefined;
  readonly #distances: Distances;

  constructor(config: DebertaV2Config) {
    super();
    const { hiddenSize, numHiddenLayers, relativeAttention, normRelEbd, layerNormEps, convKernelSize } = config;
    const distances = new Distances(config);
    this.layer = Array.from({ length: numHiddenLayers }, () => new DebertaLayer(config, distances));
    this.rel_embeddings = relativeAttention ? new Embedding(distances.rows, hiddenSize, initOf(config)) : undefined;
    this.LayerNorm = normRelEbd ? new LayerNorm(hiddenSize, layerNormEps) : undefined;
    this.conv = convKernelSize > 0 ? new ConvLayer(config) : undefined;
    this.#distances = distances;
  }

  /** x [batch, length, hidden], real bool [batch, length]. */
  forward(x: Tensor, real: Tensor | undefined): HiddenOutputs {
    return this.scoped(() => {
      const context: DebertaContext = { real, relative: this.#relative(x.shape[1]!) };
      const run = (input: Tensor, layers: readonly DebertaLayer[]): ReturnType<typeof runLayers> =>
        runLayers(input, layers, () => context);
      if (this.conv === undefined) return outputs(run(x, this.layer));
      const first = run(x, this.layer.slice(0, 1));
      const rest = run(this.conv.forward(x, first.hiddenStates[1]!, real), this.layer.slice(1));
      return outputs({
        hiddenStates: [x, ...rest.hiddenStates],
        attentions: [...first.attentions, ...rest.attentions],
      });
    });
  }

  /** Those rows of the table that a length can ask for. */
  #relative(length: number): DebertaContext["relative"] {
    if (this.rel_embeddings === undefined) return undefined;
    const [first, last] = [this.#distances.row(1 - length), this.#distances.row(length - 1)];
    const table = ops.slice(this.rel_embeddings.weight.value, 0, first, last + 1);
    return { table: this.LayerNorm?.forward(table) ?? table, first };
  }
}

function outputs({ hiddenStates, attentions }: ReturnType<typeof runLayers>): HiddenOutputs {
  return { lastHiddenState: hiddenStates[hiddenStates.length - 1]!, hiddenStates, attentions };
}
