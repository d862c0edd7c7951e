/**
 * Softmax and its logarithm. The row maximum is subtracted first; a row of −∞ (fully masked) gives zeros, one with ∞ in it NaN, as in torch.
 * Masks are booleans applied by choice, never numbers that are added.
 */
import type { DType } from "../dtype.ts";
import { broadcastShapes, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

/** The lowest finite numbers. */
const LOWEST: Partial<Record<DType, number>> = {
  f64: -Number.MAX_VALUE,
  f32: -(2 - 2 ** -23) * 2 ** 127,
  bf16: -(2 - 2 ** -7) * 2 ** 127,
  f16: -65504,
};

/** The row maximum, constant for the gradient. Of nothing −∞: there is nothing to be shifted. */
function peak(t: Toolbox, x: Tensor, d: number): Tensor {
  return x.shape[d] === 0
    ? t.expand(
        t.make.scalar(-Infinity, x),
        x.shape.map((s, i) => (i === d ? 1 : s)),
      )
    : t.amax(t.detach(x), d, true);
}

/** The row maximum where it is finite, else 0; constant for the gradient because softmax does not depend on the shift. */
function shift(t: Toolbox, x: Tensor, d: number): Tensor {
  const m = peak(t, x, d);
  return t.where(t.isfinite(m), m, 0);
}

export const softmax: OpRecord<[x: Tensor, dim?: number, mask?: Tensor]> = {
  name: "softmax",
  doc: "e^x / Σ e^x along dim; positions where the bool mask is false count as −∞; a fully masked row gives zeros",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1, maxDim: 9 });
    return [g.tensor(shape), g.integer(0, shape.length - 1), ...(g.boolean() ? [g.bools(g.broadcastable(shape))] : [])];
  },
  call: (t, x, dim = -1, mask) => {
    const d = resolveDim("softmax", dim, x.rank);
    const keep = mask === undefined ? undefined : t.expand(mask, broadcastShapes("softmax", x.shape, mask.shape));
    const seen = keep === undefined ? x : t.where(keep, x, -Infinity);
    // at least the lowest finite number, so that a row of −∞ gives e^−∞ and not NaN; and no less than the maximum, so that no exponent is above 0
    const e = t.exp(t.sub(seen, t.maximum(peak(t, seen, d), LOWEST[seen.dtype] ?? 0)));
    const total = t.sum(e, d, true);
    const y = t.mul(e, t.where(t.eq(total, 0), 0, t.reciprocal(total)));
    // dx = y ⊙ (dy − Σ dy⊙y)
    return t.make.customVjp(y, [x], (dy) => [t.mul(y, t.sub(dy, t.sum(t.mul(dy, y), d, true)))]);
  },
};

export const logsumexp: OpRecord<[x: Tensor, dim?: number, keepdim?: boolean]> = {
  name: "logsumexp",
  doc: "log Σ e^x along dim; −∞ for a row of −∞ and for an empty one",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape({ minRank: 1, maxDim: 9 })), -1, g.boolean()],
  call: (t, x, dim = -1, keepdim = false) => {
    const d = resolveDim("logsumexp", dim, x.rank);
    const m = shift(t, x, d);
    const y = t.add(t.log(t.sum(t.exp(t.sub(x, m)), d, true)), m);
    const out = t.make.customVjp(y, [x], (dy) => [t.mul(dy, t.exp(t.sub(x, t.where(t.isfinite(y), y, 0))))]);
    return keepdim ? out : t.squeeze(out, d);
  },
};

export const logSoftmax: OpRecord<[x: Tensor, dim?: number]> = {
  name: "logSoftmax",
  doc: "x − logsumexp(x) along dim",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape({ minRank: 1, maxDim: 9 })), -1],
  call: (t, x, dim = -1) => {
    const d = resolveDim("logSoftmax", dim, x.rank);
    // (x − m) first: x − (m + log Σ) would lose the small difference when m is large
    const centred = t.sub(x, shift(t, x, d));
    const y = t.sub(centred, t.log(t.sum(t.exp(centred), d, true)));
    return t.make.customVjp(y, [x], (dy) => [t.sub(dy, t.mul(t.exp(y), t.sum(dy, d, true)))]);
  },
};
