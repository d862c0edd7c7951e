/** One vector a text, of the last hidden states: what sentence-transformers computes after the model. */
import { ops, ShapeError, type Tensor } from "@lowrank/tensor";
import { requireShape } from "./losses.ts";

/**
 * Mean over each text's tokens of hidden states [batch, length, hidden]: [batch, hidden]. With `attentionMask` [batch, length], 0 at
 * padding; a text without tokens is 0. `pooling_mode_mean_tokens` in the `1_Pooling/config.json` of sentence-transformers.
 * @throws ShapeError for other shapes
 */
export function meanPooling(hiddenStates: Tensor, attentionMask?: Tensor): Tensor {
  if (hiddenStates.rank !== 3)
    throw new ShapeError(
      `meanPooling: hidden states are [batch, length, hidden], got [${hiddenStates.shape.join(", ")}]; take lastHiddenState of a model without a head`,
    );
  if (attentionMask === undefined) return ops.mean(hiddenStates, 1);
  requireShape("attentionMask", attentionMask, hiddenStates.shape.slice(0, 2));
  const real = ops.unsqueeze(ops.cast(attentionMask, "bool"), 2);
  // chosen, not multiplied: what padding became may be anything
  const total = ops.sum(ops.where(real, hiddenStates, 0), 1);
  const tokens = ops.cast(ops.sum(ops.cast(real, "i32"), 1), total.dtype);
  return ops.div(total, ops.maximum(tokens, 1));
}

/** Rows of Euclidean length 1, x / max(‖x‖, 1e-12) over the last dimension: torch's `normalize`, and the `Normalize` of sentence-transformers. */
export function l2Normalize(x: Tensor): Tensor {
  // the bound inside the root, whose slope has none at 0
  return ops.mul(x, ops.rsqrt(ops.maximum(ops.sum(ops.mul(x, x), -1, true), 1e-24)));
}
