/** Attention between heads: what all architectures share. Projections, and where they come from, are theirs. */
import type { Dropout } from "@lowrank/nn";
import { attentionLayout, checkpoint, ops, type DropoutLayout, type Tensor } from "@lowrank/tensor";

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

/** Up to this length all queries are worked on at once. */
const WHOLE = 512;
/** Queries per block beyond it. */
const BLOCK = 128;

/** What a block of queries is given along. */
export interface AttendingBlock {
  /** Position of the first key. */
  readonly first: number;
  /** `beside` of `Attending`. */
  readonly beside: readonly Tensor[];
}

export interface Attending {
  /** Weights of queries [batch, heads, n, d] from position `from` on, over keys [batch, heads, m, d] from `first` on: [batch, heads, n, m]. */
  readonly weights: (q: Tensor, k: Tensor, from: number, block: AttendingBlock) => Tensor;
  /** Whether a query sees nothing behind it; then later keys need not be looked at. */
  readonly causal: boolean;
  /** How many keys a query sees at most where it is causal: its own and those just before it. Keys before need not be looked at. Default: all. */
  readonly window?: number | undefined;
  /** What else weights are computed from, with gradients of its own. */
  readonly beside?: readonly Tensor[];
  readonly dropout: Dropout;
}

/**
 * Mixes v by dropped-out weights: [batch, length, heads · d]. Long sequences go block by block of queries, and the backward pass
 * computes each block's weights again, so that length × length numbers never exist (Rabe & Staats 2021, "Self-attention does not
 * need O(n²) memory"). `weights` is the whole matrix for whoever asks; unread, it is never computed.
 */
export function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { weights, causal, window = Infinity, beside = [], dropout }: Attending,
): { hidden: Tensor; weights: Tensor } {
  const length = q.shape[2]!;
  const whole = weights(q, k, 0, { first: 0, beside });
  if (length <= WHOLE)
    return { hidden: mergeHeads(ops.matmul(dropout.forward(whole, attentionLayout()), v)), weights: whole };
  // drawn once: blocks are parts of one matrix, and when weights are computed again the same must be dropped
  const drawn = dropout.draw();
  const mixed = (block: Tensor, keys: Tensor, values: Tensor, from: number, first: number): Tensor =>
    checkpoint(
      (bq, bk, bv, ...rest) => {
        const w = weights(bq!, bk!, from, { first, beside: rest });
        return ops.matmul(drawn === undefined ? w : ops.dropout(w, drawn.p, drawn.key, blockLayout(from, first)), bv!);
      },
      [block, keys, values, ...beside],
    );
  const parts: Tensor[] = [];
  for (let from = 0; from < length; from += BLOCK) {
    const to = Math.min(length, from + BLOCK);
    const first = causal ? Math.max(0, from + 1 - window) : 0;
    const seen = (x: Tensor): Tensor => (causal ? ops.slice(x, 2, first, to) : x);
    parts.push(mixed(ops.slice(q, 2, from, to), seen(k), seen(v), from, first));
  }
  return { hidden: mergeHeads(ops.concat(parts, 2)), weights: whole };
}

/** Places of a block in the whole matrix: the same are dropped whatever it is cut into. */
function blockLayout(from: number, first: number): DropoutLayout {
  const layout = attentionLayout(from);
  return { ...layout, start: (layout.start ?? 0) + first };
}

/** A mask [batch, length] against scores [batch, heads, queries, keys]: bool [batch, 1, 1, length]. */
export function keyMask(attentionMask: Tensor | undefined): Tensor | undefined {
  return attentionMask === undefined
    ? undefined
    : ops.reshape(ops.cast(attentionMask, "bool"), [attentionMask.shape[0]!, 1, 1, attentionMask.shape[1]!]);
}

/** Attention weights of an encoder; a query that may attend nothing gets zeros. */
export function encoderWeights(q: Tensor, k: Tensor, mask: Tensor | undefined): Tensor {
  return ops.attentionWeights(q, k, mask === undefined ? {} : { mask });
}
