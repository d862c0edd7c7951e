/**
 * Elementwise functions of one tensor: the ops, their derivatives, and where tests look at them. What each computes is a row of
 * `primitives/scalar.ts`.
 */
import { isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import type { UnaryOp } from "../primitives/scalar.ts";
import { unary as primitives } from "../primitives/unary.ts";
import type { Tensor } from "../tensor.ts";
import { add, div, gt, lt, mul } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { makeNode } from "./make.ts";
import type { OpRecord, OpRecords, ScalarPromise, TensorSample, ToleranceClass } from "./record.ts";
import { cast, where } from "./sources.ts";

type Unary = (x: Tensor) => Tensor;

function unary(op: UnaryOp): Unary {
  const primitive = primitives[op];
  return (x) => {
    needsFloat(primitive.name, x);
    return makeNode(primitive, [x], {}, x.shape, x.dtype);
  };
}

function needsFloat(op: string, x: Tensor): void {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: needs a float tensor, got ${x.dtype}; cast it first`);
}

/** −x. */
export const neg: Unary = /* @__PURE__ */ unary("neg");
/** |x|. */
export const abs: Unary = /* @__PURE__ */ unary("abs");
/** eˣ. */
export const exp: Unary = /* @__PURE__ */ inPrecision("full", /* @__PURE__ */ unary("exp"));
/** Natural logarithm. */
export const log: Unary = /* @__PURE__ */ inPrecision("full", /* @__PURE__ */ unary("log"));
/** log(1 + x), accurate near 0. */
export const log1p: Unary = /* @__PURE__ */ inPrecision("full", /* @__PURE__ */ unary("log1p"));
/** √x. */
export const sqrt: Unary = /* @__PURE__ */ unary("sqrt");
/** 1/√x. */
export const rsqrt: Unary = /* @__PURE__ */ inPrecision("full", /* @__PURE__ */ unary("rsqrt"));
/** 1/x. */
export const reciprocal: Unary = /* @__PURE__ */ unary("recip");
/** Hyperbolic tangent. */
export const tanh: Unary = /* @__PURE__ */ inPrecision("inner", /* @__PURE__ */ unary("tanh"));
/** Error function. */
export const erf: Unary = /* @__PURE__ */ unary("erf");
/** Φ(x) = erfc(−x/√2)/2, the standard normal distribution function, to full relative accuracy where it is small. */
export const normalCdf: Unary = /* @__PURE__ */ inPrecision("full", /* @__PURE__ */ unary("normalCdf"));
/** Sine. */
export const sin: Unary = /* @__PURE__ */ unary("sin");
/** Cosine. */
export const cos: Unary = /* @__PURE__ */ unary("cos");
/** Largest integer ≤ x. */
export const floor: Unary = /* @__PURE__ */ unary("floor");
/** Neither NaN nor ±∞, as bool. */
export function isfinite(x: Tensor): Tensor {
  needsFloat("isfinite", x);
  return makeNode(primitives.isfinite, [x], {}, x.shape, "bool");
}
/** NaN, as bool. */
export function isnan(x: Tensor): Tensor {
  needsFloat("isnan", x);
  return makeNode(primitives.isnan, [x], {}, x.shape, "bool");
}
/** ¬x on bool. */
export function logicalNot(x: Tensor): Tensor {
  return makeNode(primitives.not, [cast(x, "bool")], {}, x.shape, "bool");
}

/** Gradient of x from (g, x, y) for y = f(x): rows of the table in `gradients.ts`, by instruction. */
export const unaryGradients: Readonly<Partial<Record<UnaryOp, (g: Tensor, x: Tensor, y: Tensor) => Tensor>>> = {
  neg: (g) => neg(g),
  // with 0 at 0, as torch has it
  abs: (g, x) => where(gt(x, 0), g, where(lt(x, 0), neg(g), mul(g, 0))),
  exp: (g, _x, y) => mul(g, y),
  log: (g, x) => div(g, x),
  log1p: (g, x) => div(g, add(x, 1)),
  sqrt: (g, _x, y) => div(mul(g, 0.5), y),
  rsqrt: (g, x, y) => div(mul(mul(g, -0.5), y), x),
  recip: (g, _x, y) => neg(mul(g, mul(y, y))),
  // 1 − tanh² x, which cancels from |x| = 4 on; = 4e/(1 + e)² with e = e^(−2|x|)
  tanh: (g, x) => {
    const e = exp(mul(abs(x), -2));
    const above = mul(e, 4);
    const r = reciprocal(add(e, 1));
    return mul(g, mul(above, mul(r, r)));
  },
  // 2/√π · e^(−x²)
  erf: (g, x) => mul(g, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
  // e^(−x²/2)/√(2π)
  normalCdf: (g, x) => mul(g, mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI))),
  sin: (g, x) => mul(g, cos(x)),
  cos: (g, x) => neg(mul(g, sin(x))),
};

interface Row extends ScalarPromise {
  readonly tolerance: ToleranceClass;
  readonly domain?: TensorSample;
  readonly differentiable?: boolean;
}

/** One call, which bundlers can drop whole: a spread of its result, or in its arguments, they would keep. */
function elementwise(rows: Readonly<Record<string, Row>>, others: OpRecords): OpRecords {
  const records = Object.fromEntries(
    Object.entries(rows).map(([name, { tolerance, domain, differentiable = true, ...scalar }]): [string, OpRecord] => [
      name,
      {
        tolerance,
        differentiable,
        scalar,
        sample: (g) => [g.tensor(g.shape(), domain)],
        refuses: (g) => [["integers", "DTypeError", [g.ints([2], 1, 3)]]],
      },
    ]),
  );
  return { ...records, ...others };
}

/** Steps, and a distance from them. */
const STEPS: TensorSample = { avoid: [-3, -2, -1, 0, 1, 2, 3], gap: 1e-2 };

/** Where it is small, both ways. */
function tails(from: number, to: number): TensorSample {
  return {
    tails: [
      [-to, -from],
      [from, to],
    ],
  };
}

/** What tests know of these ops. */
export const unaryRecords: OpRecords = /* @__PURE__ */ elementwise(
  {
    neg: { tolerance: "exact", shape: "decreasing" },
    abs: { tolerance: "exact", shape: "magnitude", domain: { avoid: [0], gap: 1e-2 } },
    exp: { tolerance: "transcendental", shape: "increasing", units: [1.3, 2], limits: [0, Infinity] },
    log: { tolerance: "transcendental", shape: "increasing", units: [0.9, 2], domain: { min: 0.05, max: 20 } },
    // on WebGPU 1 + x is rounded once where |ln(1 + x)| ≥ 0.34: 0.5·2⁻²³/0.34 more
    log1p: { tolerance: "transcendental", shape: "increasing", units: [1.5, 3.5], domain: { min: -0.9, max: 20 } },
    // WGSL inherits √x from 1/inverseSqrt(x): 2 units and a division
    sqrt: {
      tolerance: "arithmetic",
      shape: "increasing",
      units: [0, 5],
      limits: [0, Infinity],
      domain: { min: 0.05, max: 20 },
    },
    // 1/√x: the root is half a unit off, which is up to one of the quotient's, and the quotient another half
    rsqrt: {
      tolerance: "transcendental",
      shape: "decreasing",
      units: [1.5, 7.5],
      limits: [0, Infinity],
      domain: { min: 0.05, max: 20 },
    },
    reciprocal: {
      instruction: "recip",
      tolerance: "arithmetic",
      shape: "inverse",
      units: [0, 2.5],
      domain: { avoid: [0], gap: 0.1 },
    },
    tanh: {
      tolerance: "transcendental",
      shape: "increasing",
      units: [1.4, 3],
      limits: [-1, 1],
      domain: /* @__PURE__ */ tails(4, 40),
    },
    erf: { tolerance: "transcendental", shape: "increasing", units: [1.2, 2], limits: [-1, 1] },
    // on WebGPU two exponentials and a division
    normalCdf: {
      tolerance: "transcendental",
      shape: "increasing",
      units: [5.3, 8],
      limits: [0, 1],
      domain: /* @__PURE__ */ tails(4, 12.5),
    },
    sin: { tolerance: "transcendental", shape: "circular", units: [1.6, 2] },
    cos: { tolerance: "transcendental", shape: "circular", units: [1.6, 2] },
    floor: { tolerance: "exact", shape: "increasing", domain: STEPS, differentiable: false },
    isfinite: { tolerance: "exact", shape: "finite", differentiable: false },
    isnan: { tolerance: "exact", shape: "nan", differentiable: false },
  },
  {
    logicalNot: {
      tolerance: "exact",
      differentiable: false,
      scalar: { instruction: "not", shape: "decreasing" },
      sample: (g) => [g.bools(g.shape())],
    },
  },
);
