/** Activation functions with gradients written for stability instead of derived through their parts. */
import { oneOf, type Rule } from "../check/rules.ts";
import type { Tensor } from "../tensor.ts";
import { add, gt, maximum, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { customVjp } from "./make.ts";
import { argument } from "./options.ts";
import { NUMBERS, type OpRecords } from "./record.ts";
import { where } from "./sources.ts";
import { exp, neg, normalCdf, reciprocal } from "./unary.ts";

/** x². */
export function square(x: Tensor): Tensor {
  return mul(x, x);
}

/** max(x, 0), gradient 0 at 0. */
export function relu(x: Tensor): Tensor {
  return customVjp(maximum(x, 0), [x], (dy) => [where(gt(x, 0), dy, 0)]);
}

/** 1 − σ(x) = σ(−x) for s = σ(x): the difference cancels where x > 0, e^−x·s overflows where x < 0. */
function complement(x: Tensor, s: Tensor): Tensor {
  return where(gt(x, 0), mul(exp(neg(x)), s), sub(1, s));
}

/** 1/(1 + e⁻ˣ). e⁻ˣ overflows to ∞ for very negative x, whose reciprocal is the right 0. dσ/dx = σ(1 − σ). */
export const sigmoid: (x: Tensor) => Tensor = /* @__PURE__ */ inPrecision("inner", (x) => {
  const y = reciprocal(add(exp(neg(x)), 1));
  return customVjp(y, [x], (dy) => [mul(dy, mul(y, complement(x, y)))]);
});

/** x · sigmoid(x). d/dx x·σ(x) = σ(x)·(1 + x·(1 − σ(x))). */
export const silu: (x: Tensor) => Tensor = /* @__PURE__ */ inPrecision("inner", (x) => {
  const s = sigmoid(x);
  return customVjp(mul(x, s), [x], (dy) => [mul(dy, mul(s, add(mul(x, complement(x, s)), 1)))]);
});

export type GeluForm = "none" | "tanh";
const geluForm: Rule<GeluForm> = /* @__PURE__ */ oneOf("none", "tanh");

/** √(2/π) and the cubic coefficient of Hendrycks & Gimpel's approximation (GPT-2's gelu_new). */
const TANH_SCALE = Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

/**
 * x·Φ(x): `none` with the normal distribution function (BERT), `tanh` with the approximation (GPT-2); they differ by
 * up to 4.7e-4.
 */
export const gelu: (x: Tensor, approximate?: GeluForm) => Tensor = /* @__PURE__ */ inPrecision(
  "inner",
  (x, approximate = "none") => {
    if (argument("gelu", "approximate", geluForm, approximate) === "none") {
      const cdf = normalCdf(x);
      // d/dx x·Φ(x) = Φ(x) + x·φ(x), φ(x) = e^(−x²/2)/√(2π)
      return customVjp(mul(x, cdf), [x], (dy) => {
        const pdf = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return [mul(dy, add(cdf, mul(x, pdf)))];
      });
    }
    // (1 + tanh v)/2 = σ(2v), which does not cancel
    const w = mul(mul(x, 2 * TANH_SCALE), add(mul(mul(x, x), TANH_CUBIC), 1));
    const s = sigmoid(w);
    return customVjp(mul(x, s), [x], (dy) => {
      const slope = mul(add(mul(mul(x, x), 3 * TANH_CUBIC), 1), 2 * TANH_SCALE);
      // σ′ is 0 where x² could overflow; choosing by that keeps 0·∞ out
      const steep = mul(s, complement(w, s));
      return [mul(dy, add(s, where(gt(steep, 0), mul(mul(x, steep), slope), 0)))];
    });
  },
);

/** What tests know of these ops. */
export const activationsRecords: OpRecords = {
  square: {
    tolerance: "arithmetic",
    dtypes: NUMBERS,
    differentiable: true,
    sample: (g) => [g.tensor(g.shape())],
  },
  relu: {
    tolerance: "exact",
    dtypes: NUMBERS,
    differentiable: true,
    sample: (g) => [g.tensor(g.shape(), { avoid: [0], gap: 1e-2 })],
  },
  sigmoid: {
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
  },
  silu: {
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
  },
  gelu: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [["a form that there is not", "ConfigError", [g.tensor([2]), "sigmoid"]]],
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
  },
};
