/** Layer norm and RMS norm over the last dimension, with two-pass statistics. */
import type { Tensor } from "../tensor.ts";
import type { OpRecord } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

/** Gradient of a scale or shift [n] from its per-element contributions […, n]. */
function sumRows(t: Toolbox, x: Tensor): Tensor {
  const n = x.shape[x.rank - 1]!;
  return t.sum(t.reshape(x, [-1, n]), 0);
}

export const layerNorm: OpRecord<[x: Tensor, weight: Tensor, bias: Tensor, eps: number]> = {
  name: "layerNorm",
  doc: "(x − mean)/√(var + eps) · weight + bias over the last dimension",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1, minDim: 2, maxDim: 9 });
    const n = [shape[shape.length - 1]!];
    return [g.tensor(shape, { distinct: true, gap: 0.05 }), g.tensor(n), g.tensor(n), g.pick([1e-12, 1e-5])];
  },
  call: (t, x, weight, bias, eps) => {
    // The mean of (x − first mean) is added back: the rounding of the first sum would otherwise dominate rows that are nearly constant.
    const rough = t.sub(x, t.mean(x, -1, true));
    const centred = t.sub(rough, t.mean(rough, -1, true));
    const rstd = t.rsqrt(t.add(t.mean(t.square(centred), -1, true), eps));
    const normal = t.mul(centred, rstd);
    return t.make.customVjp(t.add(t.mul(normal, weight), bias), [x, weight, bias], (dy) => {
      const g = t.mul(dy, weight);
      // dx = rstd·(g − mean(g) − x̂·mean(g⊙x̂))
      const dx = t.mul(rstd, t.sub(t.sub(g, t.mean(g, -1, true)), t.mul(normal, t.mean(t.mul(g, normal), -1, true))));
      return [dx, sumRows(t, t.mul(dy, normal)), sumRows(t, dy)];
    });
  },
};

export const rmsNorm: OpRecord<[x: Tensor, weight: Tensor, eps: number]> = {
  name: "rmsNorm",
  doc: "x/√(mean(x²) + eps) · weight over the last dimension",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1, maxDim: 9 });
    return [g.tensor(shape), g.tensor([shape[shape.length - 1]!]), 1e-6];
  },
  call: (t, x, weight, eps) => {
    const rstd = t.rsqrt(t.add(t.mean(t.square(x), -1, true), eps));
    const normal = t.mul(x, rstd);
    return t.make.customVjp(t.mul(normal, weight), [x, weight], (dy) => {
      const g = t.mul(dy, weight);
      return [t.mul(rstd, t.sub(g, t.mul(normal, t.mean(t.mul(g, normal), -1, true)))), sumRows(t, t.mul(dy, normal))];
    });
  },
};
