/** What every model gives. */
import { Block, type Module } from "@lowrank/nn";
import { inStream, LowrankError, ops, type Tensor } from "@lowrank/tensor";

export interface HiddenOutputs {
  /** [batch, length, hidden]. */
  readonly lastHiddenState: Tensor;
  /** Embeddings, then each layer. */
  readonly hiddenStates: readonly Tensor[];
  /** Attention weights of each layer, [batch, heads, length, length]. */
  readonly attentions: readonly Tensor[];
}

/** One block's result. */
export interface LayerOutput {
  readonly hidden: Tensor;
  readonly weights: Tensor;
}

export interface HeadOutputs {
  readonly logits: Tensor;
  /** Present when labels were given. */
  readonly loss: Tensor | undefined;
}

/** Of heads that score every word. What is not read is not computed: with labels and without reading `logits`, large ones are never stored. */
export interface WordOutputs extends HeadOutputs {
  /**
   * −log p of each label, in nats, and 0 where none is asked for: in the shape of the labels, or [batch, length − 1] of a causal model, for each
   * token after the first. Present when labels were given.
   */
  readonly tokenLosses: Tensor | undefined;
}

export interface AnswerOutputs {
  /** [batch, length]. */
  readonly startLogits: Tensor;
  readonly endLogits: Tensor;
  /** Present when positions were given. */
  readonly loss: Tensor | undefined;
}

/** Outputs of any model: each class has some of the optional ones. */
export type ModelOutputs = HiddenOutputs & Partial<WordOutputs & AnswerOutputs>;

/** [batch, length, 2] → two of [batch, length]. */
export function splitAnswer(both: Tensor): { readonly startLogits: Tensor; readonly endLogits: Tensor } {
  const labels = both.shape[2]!;
  if (labels !== 2)
    throw new LowrankError(
      "NotBuiltError",
      `question answering has two labels, start and end, and config.json has ${labels}; load the model with labels: 2`,
    );
  const part = (i: number): Tensor => ops.squeeze(ops.slice(both, -1, i, i + 1), -1);
  return { startLogits: part(0), endLogits: part(1) };
}

/**
 * Runs blocks one after the other; those that recompute keep their input only. What goes from one to the next is the residual stream, as wide as
 * the precision in force has it.
 * @param contextOf what layer i needs besides the hidden state
 */
export function runLayers<Context>(
  x: Tensor,
  layers: readonly (Module & { forward(x: Tensor, context: Context): LayerOutput })[],
  contextOf: (layer: number) => Context,
): { hiddenStates: Tensor[]; attentions: Tensor[] } {
  const hiddenStates = [inStream(x)];
  const attentions: Tensor[] = [];
  for (const [i, layer] of layers.entries()) {
    const context = contextOf(i);
    let weights: Tensor | undefined;
    const body = (input: Tensor): Tensor => {
      const out = layer.forward(input, context);
      weights ??= out.weights;
      return inStream(out.hidden);
    };
    const before = hiddenStates[hiddenStates.length - 1]!;
    hiddenStates.push(layer instanceof Block ? layer.run(before, body) : body(before));
    attentions.push(weights!);
  }
  return { hiddenStates, attentions };
}
