/** What queries get that attend all keys evenly, without a matrix of queries × keys. */
import { customVjp, ops, withPrecision, type Tensor } from "@lowrank/tensor";
import { repeatHeads } from "./attention.ts";

/**
 * The mean v̄ of v [batch, heads or a divisor of it, n, e] for every query [batch, heads, n, d]: [batch, heads, n, e]. Gradients are those of softmax(s)·v where
 * all s = q·kᵀ·scale count as equal: ds = (g·vᵀ − g·v̄)/n, so that dq = g·C·scale/n and dk = (v − v̄)·(gᵀ·q)·scale/n with
 * C = (v − v̄)ᵀ·k, which are small.
 */
export function evenly(q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
  const [batch, heads, n] = q.shape as [number, number, number];
  const spread = (x: Tensor): Tensor => repeatHeads(x, heads / x.shape[1]!);
  const gathered = (x: Tensor, like: Tensor): Tensor => {
    const shared = like.shape[1]!;
    const width = x.shape[3]!;
    return shared === heads ? x : ops.sum(ops.reshape(x, [batch, shared, heads / shared, n, width]), 2);
  };
  return withPrecision(undefined, () => {
    const mean = ops.mean(v, 2, true);
    const out = ops.expand(spread(mean), [batch, heads, n, v.shape[3]!]);
    return customVjp(out, [q, k, v], (g) => {
      const centred = spread(ops.sub(v, mean));
      const c = ops.matmul(ops.transpose(centred), spread(k));
      const dk = ops.mul(ops.matmul(centred, ops.matmul(ops.transpose(g), q)), scale / n);
      const dv = ops.expand(ops.mul(ops.sum(g, 2, true), 1 / n), [batch, heads, n, v.shape[3]!]);
      return [ops.mul(ops.matmul(g, c), scale / n), gathered(dk, k), gathered(dv, v)];
    });
  });
}
