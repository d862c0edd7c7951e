/** Losses token by token, and what a perplexity is made of. */
import { ops, type Tensor } from "@lowrank/tensor";
import { nextTokens, requireShape, signed } from "./losses.ts";

/** Targets that count, bool [batch, length − 1]: tokens that are no padding and are asked for by one that is none. */
function countedTargets(attentionMask: Tensor, shape: readonly number[]): Tensor {
  requireShape("attentionMask", attentionMask, shape);
  const real = ops.cast(attentionMask, "bool");
  const length = shape[1]!;
  return ops.logicalAnd(ops.slice(real, 1, 1, length), ops.slice(real, 1, 0, length - 1));
}

/**
 * −log p of each token after the first under logits [batch, length, vocab]: [batch, length − 1], in nats. With `attentionMask`
 * [batch, length], 0 at padding and at what padding is asked for; their mean then is no perplexity, see `perplexityParts`.
 */
export function tokenLosses(logits: Tensor, inputIds: Tensor, attentionMask?: Tensor): Tensor {
  const [batch, length, vocab] = logits.shape as [number, number, number];
  requireShape("inputIds", inputIds, [batch, length]);
  const each = ops.crossEntropy(ops.reshape(logits, [-1, vocab]), ops.reshape(nextTokens(inputIds), [-1]), {
    reduction: "none",
  });
  const losses = ops.slice(ops.reshape(each, [batch, length]), 1, 0, length - 1);
  return attentionMask === undefined ? losses : ops.where(countedTargets(attentionMask, inputIds.shape), losses, 0);
}

export interface PerplexityParts {
  /** Sum of −log p over the counted targets, []. */
  readonly sum: Tensor;
  /** How many they are, []. */
  readonly count: Tensor;
}

/** What a perplexity over many batches is made of: add up both parts, then exp(sum / count). Padding counts in neither, and neither does a token −100. */
export function perplexityParts(logits: Tensor, inputIds: Tensor, attentionMask?: Tensor): PerplexityParts {
  const sum = ops.sum(tokenLosses(logits, inputIds, attentionMask));
  const tokens = ops.ne(ops.slice(signed(inputIds), 1, 1, inputIds.shape[1]!), -100);
  const counted =
    attentionMask === undefined ? tokens : ops.logicalAnd(tokens, countedTargets(attentionMask, inputIds.shape));
  return { sum, count: ops.cast(ops.sum(ops.cast(counted, "i32")), logits.dtype) };
}
