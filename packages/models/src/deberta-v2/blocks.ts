/**
 * Disentangled attention of long texts: scores that depend on distances are no product of queries and keys, so they are made for a block of
 * queries at a time, and the backward pass makes each block's again (Rabe & Staats 2021, "Self-attention does not need O(n²) memory").
 */
import { attentionLayout, checkpoint, ops, type Tensor } from "@lowrank/tensor";
import type { Drawn } from "../shared/attention.ts";

/** Queries of a block. */
const BLOCK = 128;

export interface Blockwise {
  /** Weights of queries from position `from` on over all keys: [batch, heads, queries, keys]. */
  readonly weights: (q: Tensor, k: Tensor, from: number, beside: readonly Tensor[]) => Tensor;
  /** What else weights are computed from, with gradients of its own. */
  readonly beside: readonly Tensor[];
  readonly dropout: Drawn;
}

/** v mixed by dropped-out weights: [batch, heads, length, d]. */
export function mixedInBlocks(q: Tensor, k: Tensor, v: Tensor, { weights, beside, dropout }: Blockwise): Tensor {
  const length = q.shape[2]!;
  const parts: Tensor[] = [];
  for (let from = 0; from < length; from += BLOCK) {
    const body = (bq: Tensor, bk: Tensor, bv: Tensor, ...rest: readonly Tensor[]): Tensor => {
      const w = weights(bq, bk, from, rest);
      // drawn once: when weights are computed again the same must be dropped
      return ops.matmul(dropout === undefined ? w : ops.dropout(w, dropout.p, dropout.key, attentionLayout(from)), bv);
    };
    const block = ops.slice(q, 2, from, Math.min(length, from + BLOCK));
    parts.push(checkpoint((bq, bk, bv, ...rest) => body(bq!, bk!, bv!, ...rest), [block, k, v, ...beside]));
  }
  return ops.concat(parts, 2);
}
