/**
 * Softmax and its logarithm. The row maximum is subtracted first; a row of −∞ (fully masked) gives zeros, one with ∞ in it NaN, as in torch.
 * Masks are booleans applied by choice, never numbers that are added.
 */
import type { DType } from "../dtype.ts";
import { broadcastShapes, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, eq, maximum, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { composite, customVjp, scalar } from "./make.ts";
import { squeeze } from "./rearrange.ts";
import type { OpRecords, Refusal, SampleSource, TensorSpec } from "./record.ts";
import { amax, sum } from "./reductions.ts";
import { where } from "./sources.ts";
import { exp, isfinite, log, reciprocal } from "./unary.ts";
import { detach, expand } from "./views.ts";

/** The lowest finite numbers. */
export const LOWEST: Partial<Record<DType, number>> = {
  f64: -Number.MAX_VALUE,
  f32: -(2 - 2 ** -23) * 2 ** 127,
  bf16: -(2 - 2 ** -7) * 2 ** 127,
  f16: -65504,
};

/** The row maximum, constant for the gradient. Of nothing −∞: there is nothing to be shifted. */
function peak(x: Tensor, d: number): Tensor {
  return x.shape[d] === 0
    ? expand(
        scalar(-Infinity, x),
        x.shape.map((s, i) => (i === d ? 1 : s)),
      )
    : amax(detach(x), d, true);
}

/** The row maximum where it is finite, else 0; constant for the gradient because softmax does not depend on the shift. */
function shift(x: Tensor, d: number): Tensor {
  const m = peak(x, d);
  return where(isfinite(m), m, 0);
}

/** e^x / Σ e^x along dim; positions where the bool mask is false count as −∞; a fully masked row gives zeros. */
export const softmax: (x: Tensor, dim?: number, mask?: Tensor) => Tensor = /* @__PURE__ */ inPrecision(
  "full",
  (x, dim = -1, mask) => {
    const d = resolveDim("softmax", dim, x.rank);
    const keep = mask === undefined ? undefined : expand(mask, broadcastShapes("softmax", x.shape, mask.shape));
    const seen = keep === undefined ? x : where(keep, x, -Infinity);
    // at least the lowest finite number, so that a row of −∞ gives e^−∞ and not NaN; and no less than the maximum, so that no exponent is above 0
    const e = exp(sub(seen, maximum(peak(seen, d), LOWEST[seen.dtype] ?? 0)));
    const total = sum(e, d, true);
    const y = mul(e, where(eq(total, 0), 0, reciprocal(total)));
    // dx = y ⊙ (dy − Σ dy⊙y)
    customVjp(y, [x], (dy) => [mul(y, sub(dy, sum(mul(dy, y), d, true)))]);
    return composite("softmax", y, mask === undefined ? [x] : [x, mask], { dim: d });
  },
);

/** log Σ e^x along dim; −∞ for a row of −∞ and for an empty one. */
export const logsumexp: (x: Tensor, dim?: number, keepdim?: boolean) => Tensor = /* @__PURE__ */ inPrecision(
  "full",
  (x, dim = -1, keepdim = false) => {
    const d = resolveDim("logsumexp", dim, x.rank);
    const m = shift(x, d);
    const y = add(log(sum(exp(sub(x, m)), d, true)), m);
    const out = customVjp(y, [x], (dy) => [mul(dy, exp(sub(x, where(isfinite(y), y, 0))))]);
    return keepdim ? out : squeeze(out, d);
  },
);

/** x − logsumexp(x) along dim. */
export const logSoftmax: (x: Tensor, dim?: number) => Tensor = /* @__PURE__ */ inPrecision("full", (x, dim = -1) => {
  const d = resolveDim("logSoftmax", dim, x.rank);
  // (x − m) first: x − (m + log Σ) would lose the small difference when m is large
  const centred = sub(x, shift(x, d));
  const y = sub(centred, log(sum(exp(centred), d, true)));
  customVjp(y, [x], (dy) => [sub(dy, mul(exp(y), sum(dy, d, true)))]);
  return composite("logSoftmax", y, [x], { dim: d });
});

/** Of ordinary size, or so large that e^x overflows. */
function logits(g: SampleSource, shape: readonly number[]): TensorSpec {
  return g.tensor(shape, g.integer(0, 3) === 0 ? { min: -200, max: 200 } : {});
}

function refuseDim(g: SampleSource): readonly Refusal[] {
  return [["a dimension that there is not", "ShapeError", [g.tensor([2, 3]), 2]]];
}

/** What tests know of these ops. */
export const softmaxRecords: OpRecords = {
  softmax: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [...refuseDim(g), ["a mask that does not fit", "ShapeError", [g.tensor([2, 3]), 1, g.bools([2])]]],
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      return [
        logits(g, shape),
        g.integer(0, shape.length - 1),
        ...(g.boolean() ? [g.bools(g.broadcastable(shape))] : []),
      ];
    },
  },
  logsumexp: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      return [logits(g, shape), g.integer(0, shape.length - 1), g.boolean()];
    },
    refuses: refuseDim,
  },
  logSoftmax: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      return [logits(g, shape), g.integer(0, shape.length - 1)];
    },
    refuses: refuseDim,
  },
};
