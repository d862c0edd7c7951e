/** Activation functions with gradients written for stability instead of derived through their parts. */
import type { Tensor } from "../tensor.ts";
import { geluFormOf } from "./options.ts";
import type { OpRecord } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

export const square: OpRecord<[x: Tensor]> = {
  name: "square",
  doc: "x²",
  tolerance: "arithmetic",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.mul(x, x),
};

export const relu: OpRecord<[x: Tensor]> = {
  name: "relu",
  doc: "max(x, 0), gradient 0 at 0",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape(), { avoid: [0], gap: 1e-2 })],
  call: (t, x) => t.make.customVjp(t.maximum(x, 0), [x], (dy) => [t.where(t.gt(x, 0), dy, 0)]),
};

/** 1 − σ(x) = σ(−x) for s = σ(x): the difference cancels where x > 0, e^−x·s overflows where x < 0. */
function complement(t: Toolbox, x: Tensor, s: Tensor): Tensor {
  return t.where(t.gt(x, 0), t.mul(t.exp(t.neg(x)), s), t.sub(1, s));
}

// 1/(1+e^−x): e^−x overflows to ∞ for very negative x, whose reciprocal is the right 0. dσ/dx = σ(1 − σ)
export const sigmoid: OpRecord<[x: Tensor]> = {
  name: "sigmoid",
  doc: "1/(1 + e⁻ˣ)",
  precision: "inner",
  tolerance: "row",
  differentiable: true,
  sample: (g) => [
    g.tensor(g.shape(), {
      min: -8,
      max: 8,
      tails: [
        [-80, -8],
        [8, 80],
      ],
    }),
  ],
  call: (t, x) => {
    const y = t.reciprocal(t.add(t.exp(t.neg(x)), 1));
    return t.make.customVjp(y, [x], (dy) => [t.mul(dy, t.mul(y, complement(t, x, y)))]);
  },
};

// d/dx x·σ(x) = σ(x)·(1 + x·(1 − σ(x)))
export const silu: OpRecord<[x: Tensor]> = {
  name: "silu",
  doc: "x · sigmoid(x)",
  precision: "inner",
  tolerance: "row",
  differentiable: true,
  sample: (g) => [
    g.tensor(g.shape(), {
      min: -8,
      max: 8,
      tails: [
        [-80, -8],
        [8, 80],
      ],
    }),
  ],
  call: (t, x) => {
    const s = t.sigmoid(x);
    return t.make.customVjp(t.mul(x, s), [x], (dy) => [t.mul(dy, t.mul(s, t.add(t.mul(x, complement(t, x, s)), 1)))]);
  },
};

export type GeluForm = "none" | "tanh";

/** √(2/π) and the cubic coefficient of Hendrycks & Gimpel's approximation (GPT-2's gelu_new). */
const TANH_SCALE = Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

export const gelu: OpRecord<[x: Tensor, approximate?: GeluForm]> = {
  name: "gelu",
  doc: "x·Φ(x): `none` with the normal distribution function (BERT), `tanh` with the approximation (GPT-2); they differ by up to 4.7e-4",
  precision: "inner",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const approximate = g.pick(["none", "tanh"] as const);
    // beyond, results leave the range of f32
    return [
      g.tensor(g.shape(), {
        min: -6,
        max: 6,
        tails:
          approximate === "none"
            ? [
                [-12.5, -4],
                [4, 12.5],
              ]
            : [
                [-9.5, -4],
                [4, 9.5],
              ],
      }),
      approximate,
    ];
  },
  call: (t, x, approximate = "none") => {
    if (geluFormOf(approximate) === "none") {
      const cdf = t.normalCdf(x);
      // d/dx x·Φ(x) = Φ(x) + x·φ(x), φ(x) = e^(−x²/2)/√(2π)
      return t.make.customVjp(t.mul(x, cdf), [x], (dy) => {
        const pdf = t.mul(t.exp(t.mul(t.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return [t.mul(dy, t.add(cdf, t.mul(x, pdf)))];
      });
    }
    // (1 + tanh v)/2 = σ(2v), which does not cancel
    const w = t.mul(t.mul(x, 2 * TANH_SCALE), t.add(t.mul(t.mul(x, x), TANH_CUBIC), 1));
    const s = t.sigmoid(w);
    return t.make.customVjp(t.mul(x, s), [x], (dy) => {
      const slope = t.mul(t.add(t.mul(t.mul(x, x), 3 * TANH_CUBIC), 1), 2 * TANH_SCALE);
      // σ′ is 0 where x² could overflow; choosing by that keeps 0·∞ out
      const steep = t.mul(s, complement(t, w, s));
      return [t.mul(dy, t.add(s, t.where(t.gt(steep, 0), t.mul(t.mul(x, steep), slope), 0)))];
    });
  },
};
