/** Layer norm and RMS norm over the last dimension, with two-pass statistics. */
import type { Tensor } from "../tensor.ts";
import { square } from "./activations.ts";
import { add, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { composite, customVjp } from "./make.ts";
import type { OpRecords } from "./record.ts";
import { mean, sum } from "./reductions.ts";
import { rsqrt } from "./unary.ts";
import { reshape } from "./views.ts";

/** Gradient of a scale or shift [n] from its per-element contributions […, n]. */
function sumRows(x: Tensor): Tensor {
  const n = x.shape[x.rank - 1]!;
  return sum(reshape(x, [-1, n]), 0);
}

/** (x − mean)/√(var + eps) · weight + bias over the last dimension. */
export const layerNorm: (x: Tensor, weight: Tensor, bias: Tensor, eps: number) => Tensor = /* @__PURE__ */ inPrecision(
  "norm",
  (x, weight, bias, eps) => {
    // The mean of (x − first mean) is added back: the rounding of the first sum would otherwise dominate rows that are nearly constant.
    const rough = sub(x, mean(x, -1, true));
    const centred = sub(rough, mean(rough, -1, true));
    const rstd = rsqrt(add(mean(square(centred), -1, true), eps));
    const normal = mul(centred, rstd);
    const y = customVjp(add(mul(normal, weight), bias), [x, weight, bias], (dy) => {
      const g = mul(dy, weight);
      // dx = rstd·(g − mean(g) − x̂·mean(g⊙x̂))
      const dx = mul(rstd, sub(sub(g, mean(g, -1, true)), mul(normal, mean(mul(g, normal), -1, true))));
      return [dx, sumRows(mul(dy, normal)), sumRows(dy)];
    });
    return composite("layerNorm", y, [x, weight, bias], { eps });
  },
);

/** x/√(mean(x²) + eps) · weight over the last dimension. */
export const rmsNorm: (x: Tensor, weight: Tensor, eps: number) => Tensor = /* @__PURE__ */ inPrecision(
  "norm",
  (x, weight, eps) => {
    const rstd = rsqrt(add(mean(square(x), -1, true), eps));
    const normal = mul(x, rstd);
    const y = customVjp(mul(normal, weight), [x, weight], (dy) => {
      const g = mul(dy, weight);
      return [mul(rstd, sub(g, mul(normal, mean(mul(g, normal), -1, true)))), sumRows(mul(dy, normal))];
    });
    return composite("rmsNorm", y, [x, weight], { eps });
  },
);

/** What tests know of these ops. */
export const normsRecords: OpRecords = {
  layerNorm: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, minDim: 2, maxDim: 9 });
      const n = [shape[shape.length - 1]!];
      return [g.tensor(shape, { distinct: true, gap: 0.05 }), g.tensor(n), g.tensor(n), g.pick([1e-12, 1e-5])];
    },
  },
  rmsNorm: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1, maxDim: 9 });
      return [g.tensor(shape), g.tensor([shape[shape.length - 1]!]), 1e-6];
    },
  },
};
