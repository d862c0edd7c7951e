/** Attention between heads: what all architectures share. Projections, and where they come from, are theirs. */
import type { Dropout } from "@lowrank/nn";
import { attentionLayout, ops, WHOLE_ATTENTION, type Tensor } from "@lowrank/tensor";

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
  return ops.reshape(ops.expand(ops.reshape(x, [batch, heads, 1, length, d]), [batch, heads, times, length, d]), [
    batch,
    heads * times,
    length,
    d,
  ]);
}

/** What queries may see, as whoever computes attention needs it. */
export interface Sight {
  /** Weights of q over k, [batch, heads, length, d] both: [batch, heads, length, length]. */
  readonly weights: (q: Tensor, k: Tensor) => Tensor;
  /** What mixing v by dropped-out weights gives, [batch, heads, length, d], without a matrix of length × length; k and v may have fewer heads than q. */
  readonly mixed: (q: Tensor, k: Tensor, v: Tensor, dropout: Drawn) => Tensor;
  /**
   * Keeps k and v for the steps that follow, where a text grows step by step, and gives what q gets from all that is kept: mixed [batch, heads, length, d]
   * and its weights. Undefined where k and v are all there is, which `weights` and `mixed` are for.
   */
  readonly past?: ((q: Tensor, k: Tensor, v: Tensor) => { mixed: Tensor; weights: Tensor } | undefined) | undefined;
}

/** What a dropout draws with; undefined where nothing is dropped. */
export type Drawn = ReturnType<Dropout["draw"]>;

/**
 * Mixes v by dropped-out weights: [batch, length, heads · d], for q [batch, heads, length, d] and k, v of as many heads or a divisor of it.
 * Up to `WHOLE_ATTENTION` tokens the weights are kept for the backward pass, which of longer texts computes them again, tile by tile.
 * `weights` is the whole matrix for whoever asks; unread, it is never computed.
 */
export function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  sight: Sight,
  dropout: Dropout,
): { hidden: Tensor; weights: Tensor } {
  const past = sight.past?.(q, k, v);
  if (past !== undefined) return { hidden: mergeHeads(past.mixed), weights: past.weights };
  const [, heads, length] = q.shape as [number, number, number];
  const spread = (x: Tensor): Tensor => repeatHeads(x, heads / x.shape[1]!);
  const weights = sight.weights(q, spread(k));
  const mixed =
    length <= WHOLE_ATTENTION
      ? ops.matmul(dropout.forward(weights, attentionLayout()), spread(v))
      : sight.mixed(q, k, v, dropout.draw());
  return { hidden: mergeHeads(mixed), weights };
}

/** A mask [batch, length] against scores [batch, heads, queries, keys]: bool [batch, 1, 1, length]. */
export function keyMask(attentionMask: Tensor | undefined): Tensor | undefined {
  return attentionMask === undefined
    ? undefined
    : ops.reshape(ops.cast(attentionMask, "bool"), [attentionMask.shape[0]!, 1, 1, attentionMask.shape[1]!]);
}

/** An encoder's sight: all keys, or those that the mask [batch, 1, 1, length] lets through; a query that may attend nothing gets zeros. */
export function encoderSight(mask: Tensor | undefined): Sight {
  const masking = mask === undefined ? {} : { mask };
  return {
    weights: (q, k) => ops.attentionWeights(q, k, masking),
    mixed: (q, k, v, dropout) => ops.attention(q, k, v, { ...masking, ...(dropout === undefined ? {} : { dropout }) }),
  };
}
