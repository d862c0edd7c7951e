/** transformers' default losses. */
import { ops, type Tensor } from "@lowrank/tensor";

/** Cross-entropy of logits [batch, labels] with i32 labels [batch]; mean squared error with float labels where there is one label. */
export function classificationLoss(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
  if (labels === undefined) return undefined;
  return logits.shape[1] === 1 ? ops.mse(ops.reshape(logits, [-1]), ops.cast(labels, logits.dtype)) : ops.crossEntropy(logits, labels);
}

/** Mean cross-entropy over all positions of logits […, classes] with labels […]; −100 counts for nothing. */
export function flatCrossEntropy(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
  return labels === undefined ? undefined : ops.crossEntropy(ops.reshape(logits, [-1, logits.shape[logits.rank - 1]!]), ops.reshape(labels, [-1]));
}

/** Labels [batch, length] moved one to the left, so that position i is asked for token i + 1; the last position is asked for nothing. */
function nextTokens(labels: Tensor): Tensor {
  return ops.pad(ops.slice(labels, 1, 1, labels.shape[1]!), [[0, 0], [0, 1]], -100);
}

/** Mean cross-entropy of logits [batch, length, vocab] with the token that follows; labels [batch, length] are not shifted by the caller. */
export function nextTokenLoss(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
  return labels === undefined ? undefined : flatCrossEntropy(logits, nextTokens(labels));
}

/** −log p of each token after the first under logits [batch, length, vocab]: [batch, length − 1], in nats. Its mean is the log of the perplexity. */
export function tokenLosses(logits: Tensor, inputIds: Tensor): Tensor {
  const [batch, length, vocab] = logits.shape as [number, number, number];
  const each = ops.crossEntropy(ops.reshape(logits, [-1, vocab]), ops.reshape(nextTokens(inputIds), [-1]), { reduction: "none" });
  return ops.slice(ops.reshape(each, [batch, length]), 1, 0, length - 1);
}
