/** Activation functions with gradients written for stability instead of derived through their parts. */
import type { Tensor } from "../tensor.ts";
import type { OpRecord } from "./record.ts";

export const square: OpRecord<[x: Tensor]> = {
  name: "square", doc: "x²", tolerance: "arithmetic", differentiable: true, sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.mul(x, x),
};

export const relu: OpRecord<[x: Tensor]> = {
  name: "relu", doc: "max(x, 0), gradient 0 at 0", tolerance: "exact", differentiable: true,
  sample: (g) => [g.tensor(g.shape(), { avoid: [0], gap: 1e-2 })],
  call: (t, x) => t.make.withVjp(t.maximum(x, 0), [x], (dy) => [t.where(t.gt(x, 0), dy, 0)]),
};

// 1/(1+e^−x): e^−x overflows to ∞ for very negative x, whose reciprocal is the right 0. dσ/dx = σ(1 − σ)
export const sigmoid: OpRecord<[x: Tensor]> = {
  name: "sigmoid", doc: "1/(1 + e⁻ˣ)", precision: "inner", tolerance: "row", differentiable: true, sample: (g) => [g.tensor(g.shape(), { min: -8, max: 8 })],
  call: (t, x) => {
    const y = t.reciprocal(t.add(t.exp(t.neg(x)), 1));
    return t.make.withVjp(y, [x], (dy) => [t.mul(dy, t.mul(y, t.sub(1, y)))]);
  },
};

// d/dx x·σ(x) = σ(x)·(1 + x·(1 − σ(x)))
export const silu: OpRecord<[x: Tensor]> = {
  name: "silu", doc: "x · sigmoid(x)", precision: "inner", tolerance: "row", differentiable: true, sample: (g) => [g.tensor(g.shape(), { min: -8, max: 8 })],
  call: (t, x) => {
    const s = t.sigmoid(x);
    return t.make.withVjp(t.mul(x, s), [x], (dy) => [t.mul(dy, t.mul(s, t.add(t.mul(x, t.sub(1, s)), 1)))]);
  },
};

export type GeluForm = "none" | "tanh";

/** √(2/π) and the cubic coefficient of Hendrycks & Gimpel's approximation (GPT-2's gelu_new). */
const TANH_SCALE = Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

export const gelu: OpRecord<[x: Tensor, approximate?: GeluForm]> = {
  name: "gelu", doc: "x·Φ(x): `none` with the error function (BERT), `tanh` with the approximation (GPT-2); they differ by up to 4.7e-4", precision: "inner", tolerance: "row", differentiable: true,
  sample: (g) => [g.tensor(g.shape(), { min: -6, max: 6 }), g.pick(["none", "tanh"] as const)],
  call: (t, x, approximate = "none") => {
    if (approximate === "none") {
      const cdf = t.mul(t.add(t.erf(t.mul(x, Math.SQRT1_2)), 1), 0.5);
      // d/dx x·Φ(x) = Φ(x) + x·φ(x), φ(x) = e^(−x²/2)/√(2π)
      return t.make.withVjp(t.mul(x, cdf), [x], (dy) => {
        const pdf = t.mul(t.exp(t.mul(t.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return [t.mul(dy, t.add(cdf, t.mul(x, pdf)))];
      });
    }
    const u = t.tanh(t.mul(t.mul(x, TANH_SCALE), t.add(t.mul(t.mul(x, x), TANH_CUBIC), 1)));
    const half = t.mul(t.add(u, 1), 0.5);
    return t.make.withVjp(t.mul(x, half), [x], (dy) => {
      const slope = t.mul(t.add(t.mul(t.mul(x, x), 3 * TANH_CUBIC), 1), TANH_SCALE);
      // (1 − tanh²) is 0 where x² could overflow; choosing by that keeps 0·∞ out
      const sech2 = t.sub(1, t.mul(u, u));
      const tail = t.where(t.gt(sech2, 0), t.mul(t.mul(t.mul(x, 0.5), sech2), slope), 0);
      return [t.mul(dy, t.add(half, tail))];
    });
  },
};
