/**
 * Causal attention under padding, in windows and over packed texts.
 *
 * A query with nothing but padding at or before it (left padding) attends all keys evenly, as in transformers' own implementation,
 * which adds the most negative number to every score. Its output means nothing, but transformers' loss counts the last padding
 * position, which is asked for the first token, so the values and their gradients are part of what is reproduced.
 */
import { customVjp, ops, withPrecision, type Tensor } from "@lowrank/tensor";
import { keyMask, type Sight } from "./attention.ts";
import { evenly } from "./evenly.ts";
import type { LayerCache } from "./key-value-cache.ts";

export interface CausalMask {
  /** bool [batch, 1, 1, length]: keys that are no padding. Undefined: none is. */
  readonly keys: Tensor | undefined;
  /** bool [batch, 1, length, 1]: queries that see padding only. */
  readonly blind: Tensor | undefined;
  /** i32 [batch, length]: which text of its row a token belongs to. Undefined: there is one a row. */
  readonly texts?: Tensor | undefined;
  /** How many keys a query sees at most: its own and those just before it. Undefined: all before it. */
  readonly window?: number | undefined;
  /** What the layer keeps of a text that grows token by token. */
  readonly cache?: LayerCache | undefined;
}

/** For attentionMask and positionIds [batch, length]; made once and used by every layer with the same window. */
export function causalMask(attentionMask: Tensor | undefined, positionIds?: Tensor, window?: number): CausalMask {
  const keys = keyMask(attentionMask);
  const texts = positionIds === undefined ? undefined : textsOf(positionIds, attentionMask);
  if (attentionMask === undefined || keys === undefined) return { keys: undefined, blind: undefined, texts, window };
  const [batch, length] = attentionMask.shape as [number, number];
  return {
    keys,
    blind: ops.reshape(ops.eq(tokensSeen(attentionMask, window), 0), [batch, 1, length, 1]),
    texts,
    window,
  };
}

/**
 * Texts packed into one row, counted from 0: one begins where a position does not follow the one before it. That is transformers' rule,
 * which it applies without an attention mask only. Padding belongs to the text before it, whatever its position says, and begins none;
 * behind padding a text begins where positions go back.
 */
function textsOf(positionIds: Tensor, attentionMask: Tensor | undefined): Tensor {
  const [batch, length] = positionIds.shape as [number, number];
  const before = (x: Tensor): Tensor => ops.slice(x, 1, 0, length - 1);
  const after = (x: Tensor): Tensor => ops.slice(x, 1, 1, length);
  const step = ops.sub(after(positionIds), before(positionIds));
  let begins = ops.ne(step, 1);
  if (attentionMask !== undefined) {
    const real = ops.cast(attentionMask, "bool");
    begins = ops.logicalAnd(ops.logicalAnd(begins, after(real)), ops.logicalOr(before(real), ops.le(step, 0)));
  }
  return length === 1
    ? ops.mul(positionIds, 0)
    : ops.reshape(
        ops.cumsum(
          ops.pad(ops.cast(begins, "i32"), [
            [0, 0],
            [1, 0],
          ]),
          1,
        ),
        [batch, length],
      );
}

/** Whether query and key are of one text: bool [batch, 1, length, length]. */
function sameText(texts: Tensor): Tensor {
  const [batch, length] = texts.shape as [number, number];
  return ops.eq(ops.reshape(texts, [batch, 1, length, 1]), ops.reshape(texts, [batch, 1, 1, length]));
}

/** Where the text of each token begins: i32 [batch, length]. */
function beginnings(texts: Tensor): Tensor {
  const [batch, length] = texts.shape as [number, number];
  const same = ops.reshape(sameText(texts), [batch, length, length]);
  return ops.amin(ops.where(same, ops.iota(same, -1), length), -1);
}

function tokensSoFar(attentionMask: Tensor): Tensor {
  return ops.cumsum(ops.cast(ops.cast(attentionMask, "bool"), "i32"), 1);
}

/** How many tokens that are no padding a query sees: i32 [batch, length]. */
function tokensSeen(attentionMask: Tensor, window = Infinity): Tensor {
  const all = tokensSoFar(attentionMask);
  const length = attentionMask.shape[1]!;
  if (window >= length) return all;
  const behind = ops.pad(ops.slice(all, 1, 0, length - window), [
    [0, 0],
    [window, 0],
  ]);
  return ops.sub(all, behind);
}

/** Whether a key is no further back than the window reaches, for q [batch, heads, length, d]: bool [1, 1, length, length]. */
function nearEnough(q: Tensor, window: number): Tensor {
  const place = ops.iota(q, 2);
  return ops.gt(ops.reshape(place, [1, 1, 1, q.shape[2]!]), ops.sub(place, window));
}

function both(a: Tensor | undefined, b: Tensor | undefined): Tensor | undefined {
  return a === undefined || b === undefined ? (a ?? b) : ops.logicalAnd(a, b);
}

/** Positions that count tokens and skip padding on the left: i32 [batch, length], 0 at the padding. What generation gives to `positionIds`. */
export function positionsOf(attentionMask: Tensor): Tensor {
  return ops.maximum(ops.sub(tokensSoFar(attentionMask), 1), 0);
}

export interface CausalOptions {
  /** Of the scores. Default 1/√d. */
  readonly scale?: number | undefined;
}

/** softmax(q·kᵀ·scale) over the keys at or before each query: [batch, heads, length, length]. */
export function causalWeights(
  q: Tensor,
  k: Tensor,
  { keys, blind, texts, window }: CausalMask,
  { scale = 1 / Math.sqrt(q.shape[3]!) }: CausalOptions = {},
): Tensor {
  const length = q.shape[2]!;
  const near = window === undefined || window >= length ? undefined : nearEnough(q, window);
  const same = both(texts === undefined ? undefined : sameText(texts), near);
  if (keys === undefined || blind === undefined)
    return ops.attentionWeights(q, k, { causal: true, ...(same === undefined ? {} : { mask: same }), scale });
  const scores = ops.mul(
    withPrecision(undefined, () => ops.matmul(wide(q), ops.transpose(wide(k)))),
    scale,
  );
  const past = ops.le(ops.iota(scores, -1), ops.iota(scores, -2));
  // score + most negative number rounds to that number, and the gradient of an addition is the identity all the same
  const seen = customVjp(ops.where(blind, 0, scores), [scores], (g) => [g]);
  const visible = ops.logicalAnd(keys, past);
  return ops.softmax(seen, -1, ops.logicalOr(same === undefined ? visible : ops.logicalAnd(visible, same), blind));
}

/** Full precision: half could not hold the scores of long vectors. */
function wide(x: Tensor): Tensor {
  return ops.cast(x, x.device.defaultFloat);
}

/** A decoder's sight. Among long texts what a query cannot see for its place or its window is not computed, with padding and without. */
export function causalSight(mask: CausalMask, options: CausalOptions = {}): Sight {
  const { keys, blind, texts, window, cache } = mask;
  return {
    past: (q, k, v) => cache?.attend(q, k, v, options.scale ?? 1 / Math.sqrt(q.shape[3]!)),
    weights: (q, k) => causalWeights(q, k, mask, options),
    mixed: (q, k, v, dropout) => {
      const { scale = 1 / Math.sqrt(q.shape[3]!) } = options;
      const seen = ops.attention(q, k, v, {
        causal: true,
        scale,
        ...(keys === undefined ? {} : { mask: keys }),
        ...(window === undefined ? {} : { window }),
        ...(texts === undefined ? {} : { first: beginnings(texts) }),
        ...(dropout === undefined ? {} : { dropout }),
      });
      return blind === undefined ? seen : ops.where(blind, evenly(q, k, v, scale), seen);
    },
  };
}
