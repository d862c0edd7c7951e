/**
 * Causal attention under padding, in windows and over packed texts.
 *
 * A query with nothing but padding at or before it (left padding) attends all keys evenly, as in transformers' own implementation,
 * which adds the most negative number to every score. Its output means nothing, but transformers' loss counts the last padding
 * position, which is asked for the first token, so the values and their gradients are part of what is reproduced.
 */
import { customVjp, invariant, ops, withPrecision, type Tensor } from "@lowrank/tensor";
import { keyMask } from "./attention.ts";

export interface CausalMask {
  /** bool [batch, 1, 1, length]: keys that are no padding. Undefined: none is. */
  readonly keys: Tensor | undefined;
  /** bool [batch, 1, length, 1]: queries that see padding only. */
  readonly blind: Tensor | undefined;
  /** i32 [batch, length]: which text of its row a token belongs to. Undefined: there is one a row. */
  readonly texts?: Tensor | undefined;
  /** How many keys a query sees at most: its own and those just before it. Undefined: all before it. */
  readonly window?: number | undefined;
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

/** Whether query and key are of one text: bool [batch, 1, queries, keys]. */
function sameText(texts: Tensor, [queries, keys]: readonly [number, number], from: number, first: number): Tensor {
  const batch = texts.shape[0]!;
  return ops.eq(
    ops.reshape(ops.slice(texts, 1, from, from + queries), [batch, 1, queries, 1]),
    ops.reshape(ops.slice(texts, 1, first, first + keys), [batch, 1, 1, keys]),
  );
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

/** Whether a key is no further back than the window reaches: bool [queries, keys]; undefined where it reaches all of them. */
function nearEnough(
  like: Tensor,
  [n, m]: readonly [number, number],
  from: number,
  first: number,
  window = Infinity,
): Tensor | undefined {
  if (window >= from - first + n) return undefined;
  const { device } = like;
  return ops.gt(
    ops.reshape(device.arange(m), [1, m]),
    ops.add(ops.reshape(device.arange(n), [n, 1]), from - first - window),
  );
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
  /** Position of the first query. Default 0. */
  readonly from?: number;
  /** Position of the first key; not 0 only without padding, and where no query sees keys before it. Default 0. */
  readonly first?: number;
}

/**
 * softmax(q·kᵀ·scale) over the keys at or before each query: [batch, heads, queries, keys].
 * Queries are those from position `from` on, keys those from `first` on up to the last query at least.
 */
export function causalWeights(
  q: Tensor,
  k: Tensor,
  { keys: allKeys, blind: allBlind, texts, window }: CausalMask,
  { scale = 1 / Math.sqrt(q.shape[q.rank - 1]!), from = 0, first = 0 }: CausalOptions = {},
): Tensor {
  const [n, m] = [q.shape[2]!, k.shape[2]!];
  const near = nearEnough(q, [n, m], from, first, window);
  const same = both(texts === undefined ? undefined : sameText(texts, [n, m], from, first), near);
  if (allKeys === undefined || allBlind === undefined) {
    // `causal` counts from the end: it lets the last query see the last key
    if (m === from + n - first)
      return ops.attentionWeights(q, k, { causal: true, ...(same === undefined ? {} : { mask: same }), scale });
    const past = ops.le(
      ops.reshape(q.device.arange(m), [1, m]),
      ops.add(ops.reshape(q.device.arange(n), [n, 1]), from - first),
    );
    return ops.attentionWeights(q, k, { mask: same === undefined ? past : ops.logicalAnd(same, past), scale });
  }
  invariant(first === 0, "padding is told of keys from the first on");
  const [keys, blind] = [ops.slice(allKeys, 3, 0, m), ops.slice(allBlind, 2, from, from + n)];
  // full precision: half could not hold the scores of long vectors
  const wide = (x: Tensor): Tensor => ops.cast(x, x.device.defaultFloat);
  const scores = ops.mul(
    withPrecision(undefined, () => ops.matmul(wide(q), ops.transpose(wide(k)))),
    scale,
  );
  const past = ops.le(ops.iota(scores, -1), ops.add(ops.iota(scores, -2), from));
  // score + most negative number rounds to that number, and the gradient of an addition is the identity all the same
  const seen = customVjp(ops.where(blind, 0, scores), [scores], (g) => [g]);
  const visible = ops.logicalAnd(keys, past);
  return ops.softmax(seen, -1, ops.logicalOr(same === undefined ? visible : ops.logicalAnd(visible, same), blind));
}
