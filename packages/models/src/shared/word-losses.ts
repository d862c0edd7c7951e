/** Losses of heads that score every word, with transformers' meaning: the mean over labels other than −100. */
import { ops, type Tensor } from "@lowrank/tensor";
import { nextTokens, requireShape } from "./losses.ts";
import type { WordHead } from "./output-layer.ts";
import type { WordOutputs } from "./outputs.ts";

/** What `head` makes of hidden states […, hidden], compared with labels […] where they are given. */
export function wordOutputs(hidden: Tensor, head: WordHead, labels: Tensor | undefined): WordOutputs {
  const logits = head.forward(hidden);
  if (labels === undefined) return { logits, loss: undefined, tokenLosses: undefined };
  requireShape("labels", labels, hidden.shape.slice(0, -1));
  const { each, mean } = lossesOf(hidden, head, labels);
  return { logits, loss: mean, tokenLosses: each };
}

/** The same of a causal model, hidden [batch, length, hidden]: labels [batch, length] are compared with what was scored one token before. */
export function nextWordOutputs(hidden: Tensor, head: WordHead, labels: Tensor | undefined): WordOutputs {
  const logits = head.forward(hidden);
  if (labels === undefined) return { logits, loss: undefined, tokenLosses: undefined };
  // before the shift, which would take another shape's rows apart
  requireShape("labels", labels, hidden.shape.slice(0, -1));
  const { each, mean } = lossesOf(hidden, head, nextTokens(labels));
  return { logits, loss: mean, tokenLosses: ops.slice(each, 1, 0, labels.shape[1]! - 1) };
}

function lossesOf(hidden: Tensor, head: WordHead, labels: Tensor): { each: Tensor; mean: Tensor } {
  const flat = ops.reshape(labels, [-1]);
  const each = head.crossEntropy(ops.reshape(hidden, [-1, hidden.shape[hidden.rank - 1]!]), flat, {
    reduction: "none",
  });
  // made of the losses themselves: whoever reads both has them computed once
  const mean = ops.div(ops.sum(each), ops.cast(ops.sum(ops.ne(flat, -100)), each.dtype));
  return { each: ops.reshape(each, labels.shape), mean };
}
