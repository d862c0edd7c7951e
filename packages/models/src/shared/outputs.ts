/** What every model takes and gives. */
import { Block, type Module } from "@lowrank/nn";
import { LowrankError, ops, ShapeError, type Tensor } from "@lowrank/tensor";

export interface TextInputs {
  /** i32 [batch, length]. */
  readonly inputIds: Tensor;
  /** bool or 0/1 [batch, length]; true = may be attended. Default: everything. */
  readonly attentionMask?: Tensor;
}

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

/** [batch, length] of a model's ids, refused where the model has no positions for them. */
export function textShape(inputIds: Tensor, positions: number): readonly [number, number] {
  if (inputIds.rank !== 2) throw new ShapeError(`inputIds must be [batch, length], got [${inputIds.shape.join(", ")}]`);
  const [batch, length] = inputIds.shape as [number, number];
  if (length > positions) throw new LowrankError("ShapeError", `input of ${length} tokens is longer than the model's ${positions} positions; truncate it`);
  return [batch, length];
}

/** [batch, length, hidden] → [batch, hidden]. */
export function firstToken(hidden: Tensor): Tensor {
  const [batch, , size] = hidden.shape as [number, number, number];
  return ops.reshape(ops.slice(hidden, 1, 0, 1), [batch, size]);
}

/** Runs blocks one after the other; those that recompute keep their input only. */
export function runLayers<Context>(x: Tensor, layers: readonly (Module & { forward(x: Tensor, context: Context): LayerOutput })[], context: Context): { hiddenStates: Tensor[]; attentions: Tensor[] } {
  const hiddenStates = [x];
  const attentions: Tensor[] = [];
  for (const layer of layers) {
    let weights: Tensor | undefined;
    const body = (input: Tensor): Tensor => {
      const out = layer.forward(input, context);
      weights ??= out.weights;
      return out.hidden;
    };
    const before = hiddenStates[hiddenStates.length - 1]!;
    hiddenStates.push(layer instanceof Block ? layer.run(before, body) : body(before));
    attentions.push(weights!);
  }
  return { hiddenStates, attentions };
}
