/** Attention between heads: what all architectures share. Projections, and where they come from, are theirs. */
import type { Dropout } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";

/** [batch, length, heads · d] → [batch, heads, length, d]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  return ops.permute(ops.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, length, d] → [batch, length, heads · d]. */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, length, d] = x.shape as [number, number, number, number];
  return ops.reshape(ops.permute(x, [0, 2, 1, 3]), [batch, length, heads * d]);
}

/** Each head `times` times in a row, for queries that share keys and values (Ainslie et al. 2023). */
export function repeatHeads(x: Tensor, times: number): Tensor {
  if (times === 1) return x;
  const [batch, heads, length, d] = x.shape as [number, number, number, number];
  return ops.reshape(ops.expand(ops.reshape(x, [batch, heads, 1, length, d]), [batch, heads, times, length, d]), [batch, heads * times, length, d]);
}

/** Mixes v [batch, heads, length, d] by dropped-out weights: [batch, length, heads · d]. */
export function mix(weights: Tensor, v: Tensor, dropout: Dropout): Tensor {
  return mergeHeads(ops.matmul(dropout.forward(weights), v));
}

/** A mask [batch, length] against scores [batch, heads, queries, keys]: bool [batch, 1, 1, length]. */
export function keyMask(attentionMask: Tensor | undefined): Tensor | undefined {
  return attentionMask === undefined ? undefined : ops.reshape(ops.cast(attentionMask, "bool"), [attentionMask.shape[0]!, 1, 1, attentionMask.shape[1]!]);
}

/** Attention weights of an encoder; a query that may attend nothing gets zeros. */
export function encoderWeights(q: Tensor, k: Tensor, mask: Tensor | undefined): Tensor {
  return ops.attentionWeights(q, k, mask === undefined ? {} : { mask });
}
