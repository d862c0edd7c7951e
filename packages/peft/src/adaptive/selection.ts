/** Choosing among the scores of all modules together, on the device. Counting replaces sorting: with a thousand scores the n² comparisons are one small kernel. */
import { ops, type Tensor } from "@lowrank/tensor";

/** scores as a column and as a row, both read as [n, n]. */
function grid(scores: Tensor): { own: Tensor; other: Tensor } {
  const n = scores.size;
  return { own: ops.reshape(scores, [n, 1]), other: ops.expand(ops.reshape(scores, [1, n]), [n, n]) };
}

const count = (hits: Tensor, like: Tensor): Tensor => ops.sum(ops.cast(hits, like.dtype), 1);

/**
 * PEFT's rule: everything at or below the k-th smallest score goes, k = n − budget, so that ties at the threshold all go.
 * score > k-th smallest ⇔ at least k scores are smaller.
 * @param scores [n]
 * @param removed scalar k ≥ 1, in the scores' dtype
 * @returns bool [n]
 */
export function aboveThreshold(scores: Tensor, removed: Tensor): Tensor {
  const { own, other } = grid(scores);
  return ops.ge(count(ops.lt(other, own), scores), removed);
}

/**
 * Exactly `budget` of them: highest score first; of equal scores the earlier module's, then the lower index.
 * @param scores [n], in the order of modules
 * @param budget scalar, in the scores' dtype
 * @returns bool [n]
 */
export function bestOf(scores: Tensor, budget: Tensor): Tensor {
  return ops.lt(ahead(scores), budget);
}

/**
 * How many scores come before each: those that are higher, and equal ones with a lower index.
 * @param scores [n]
 * @param owner i32 [n]; only scores of the same owner count. Absent: all do
 * @returns [n], in the scores' dtype
 */
export function ahead(scores: Tensor, owner?: Tensor): Tensor {
  const { own, other } = grid(scores);
  const earlier = ops.lt(ops.iota(other, 1), ops.iota(other, 0));
  const before = ops.logicalOr(ops.gt(other, own), ops.logicalAnd(ops.eq(other, own), earlier));
  if (owner === undefined) return count(before, scores);
  const owners = grid(owner);
  return count(ops.logicalAnd(before, ops.eq(owners.other, owners.own)), scores);
}
