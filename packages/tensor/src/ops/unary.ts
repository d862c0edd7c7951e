/** Elementwise functions of one tensor. Each line is the definition in f64, the kernel instruction, the derivative and the domain to test. */
import { DTypeError } from "../errors.ts";
import { isFloat } from "../dtype.ts";
import type { UnaryOp } from "../ir/kernel.ts";
import { erf as erf64, normalCdf as normalCdf64 } from "../math/erf.ts";
import type { PrecisionClass } from "../precision.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord, Primitive, TensorSample, ToleranceClass } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

interface UnarySpec {
  readonly name: string;
  readonly doc: string;
  readonly op: UnaryOp;
  readonly cost: number;
  readonly f: (x: number) => number;
  /** Gradient from (g, x, y). */
  readonly vjp?: (t: Toolbox, g: Tensor, x: Tensor, y: Tensor) => Tensor;
  readonly tolerance: ToleranceClass;
  readonly precision?: PrecisionClass;
  readonly domain?: TensorSample;
}

function unary(spec: UnarySpec): OpRecord<[x: Tensor]> {
  const { vjp } = spec;
  const primitive: Primitive = {
    name: spec.name,
    lowering: { class: "unary", op: spec.op },
    cost: spec.cost,
    reference: ([x]) => x!.data.map(spec.f),
    ...(vjp === undefined ? {} : { vjp: (t, g, { inputs, output }) => [vjp(t, g, inputs[0]!, output)] }),
  };
  return {
    name: spec.name,
    doc: spec.doc,
    tolerance: spec.tolerance,
    differentiable: vjp !== undefined,
    ...(spec.precision === undefined ? {} : { precision: spec.precision }),
    sample: (g) => [g.tensor(g.shape(), spec.domain)],
    call: (t, x) => {
      if (!isFloat(x.dtype)) throw new DTypeError(`${spec.name}: needs a float tensor, got ${x.dtype}; cast it first`);
      return t.make.node(primitive, [x], {}, x.shape, x.dtype);
    },
  };
}

export const neg: OpRecord<[x: Tensor]> = unary({
  name: "neg",
  doc: "−x",
  op: "neg",
  cost: 1,
  f: (x) => -x,
  vjp: (t, g) => t.neg(g),
  tolerance: "exact",
});

// d|x|/dx = sign x, with 0 at 0 as torch has it.
export const abs: OpRecord<[x: Tensor]> = unary({
  name: "abs",
  doc: "|x|",
  op: "abs",
  cost: 1,
  f: Math.abs,
  tolerance: "exact",
  domain: { avoid: [0], gap: 1e-2 },
  vjp: (t, g, x) => t.where(t.gt(x, 0), g, t.where(t.lt(x, 0), t.neg(g), t.mul(g, 0))),
});

export const exp: OpRecord<[x: Tensor]> = unary({
  name: "exp",
  precision: "full",
  doc: "eˣ",
  op: "exp",
  cost: 8,
  f: Math.exp,
  vjp: (t, g, _x, y) => t.mul(g, y),
  tolerance: "transcendental",
});
export const log: OpRecord<[x: Tensor]> = unary({
  name: "log",
  precision: "full",
  doc: "natural logarithm",
  op: "log",
  cost: 10,
  f: Math.log,
  vjp: (t, g, x) => t.div(g, x),
  tolerance: "transcendental",
  domain: { min: 0.05, max: 20 },
});
export const log1p: OpRecord<[x: Tensor]> = unary({
  name: "log1p",
  precision: "full",
  doc: "log(1 + x), accurate near 0",
  op: "log1p",
  cost: 12,
  f: Math.log1p,
  vjp: (t, g, x) => t.div(g, t.add(x, 1)),
  tolerance: "transcendental",
  domain: { min: -0.9, max: 20 },
});
export const sqrt: OpRecord<[x: Tensor]> = unary({
  name: "sqrt",
  doc: "√x",
  op: "sqrt",
  cost: 4,
  f: Math.sqrt,
  vjp: (t, g, _x, y) => t.div(t.mul(g, 0.5), y),
  tolerance: "arithmetic",
  domain: { min: 0.05, max: 20 },
});
export const rsqrt: OpRecord<[x: Tensor]> = unary({
  name: "rsqrt",
  precision: "full",
  doc: "1/√x",
  op: "rsqrt",
  cost: 6,
  f: (x) => 1 / Math.sqrt(x),
  vjp: (t, g, x, y) => t.div(t.mul(t.mul(g, -0.5), y), x),
  tolerance: "transcendental",
  domain: { min: 0.05, max: 20 },
});
export const reciprocal: OpRecord<[x: Tensor]> = unary({
  name: "reciprocal",
  doc: "1/x",
  op: "recip",
  cost: 3,
  f: (x) => 1 / x,
  vjp: (t, g, _x, y) => t.neg(t.mul(g, t.mul(y, y))),
  tolerance: "arithmetic",
  domain: { avoid: [0], gap: 0.1 },
});
// d/dx tanh x = 1 − tanh² x, which cancels from |x| = 4 on; = 4e/(1 + e)² with e = e^(−2|x|)
export const tanh: OpRecord<[x: Tensor]> = unary({
  name: "tanh",
  precision: "inner",
  doc: "hyperbolic tangent",
  op: "tanh",
  cost: 12,
  f: Math.tanh,
  tolerance: "transcendental",
  domain: {
    tails: [
      [-40, -4],
      [4, 40],
    ],
  },
  vjp: (t, g, x) => {
    const e = t.exp(t.mul(t.abs(x), -2));
    return t.mul(g, t.mul(t.mul(e, 4), t.square(t.reciprocal(t.add(e, 1)))));
  },
});
// d/dx erf x = 2/√π · e^(−x²)
export const erf: OpRecord<[x: Tensor]> = unary({
  name: "erf",
  doc: "error function",
  op: "erf",
  cost: 14,
  f: erf64,
  vjp: (t, g, x) => t.mul(g, t.mul(t.exp(t.neg(t.mul(x, x))), 2 / Math.sqrt(Math.PI))),
  tolerance: "transcendental",
});
// d/dx Φ x = e^(−x²/2)/√(2π)
export const normalCdf: OpRecord<[x: Tensor]> = unary({
  name: "normalCdf",
  precision: "full",
  doc: "Φ(x) = erfc(−x/√2)/2, the standard normal distribution function, to full relative accuracy where it is small",
  op: "normalCdf",
  cost: 14,
  f: normalCdf64,
  tolerance: "transcendental",
  domain: {
    tails: [
      [-12.5, -4],
      [4, 12.5],
    ],
  },
  vjp: (t, g, x) => t.mul(g, t.mul(t.exp(t.mul(t.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI))),
});
export const sin: OpRecord<[x: Tensor]> = unary({
  name: "sin",
  doc: "sine",
  op: "sin",
  cost: 14,
  f: Math.sin,
  vjp: (t, g, x) => t.mul(g, t.cos(x)),
  tolerance: "transcendental",
});
export const cos: OpRecord<[x: Tensor]> = unary({
  name: "cos",
  doc: "cosine",
  op: "cos",
  cost: 14,
  f: Math.cos,
  vjp: (t, g, x) => t.neg(t.mul(g, t.sin(x))),
  tolerance: "transcendental",
});
export const floor: OpRecord<[x: Tensor]> = unary({
  name: "floor",
  doc: "largest integer ≤ x",
  op: "floor",
  cost: 1,
  f: Math.floor,
  tolerance: "exact",
  domain: { avoid: [-3, -2, -1, 0, 1, 2, 3], gap: 1e-2 },
});

const isfinitePrimitive: Primitive = {
  name: "isfinite",
  lowering: { class: "unary", op: "isfinite" },
  cost: 1,
  reference: ([x]) => x!.data.map((v) => (Number.isFinite(v) ? 1 : 0)),
};
export const isfinite: OpRecord<[x: Tensor]> = {
  name: "isfinite",
  doc: "neither NaN nor ±∞, as bool",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.make.node(isfinitePrimitive, [x], {}, x.shape, "bool"),
};

const isnanPrimitive: Primitive = {
  name: "isnan",
  lowering: { class: "unary", op: "isnan" },
  cost: 1,
  reference: ([x]) => x!.data.map((v) => (Number.isNaN(v) ? 1 : 0)),
};
export const isnan: OpRecord<[x: Tensor]> = {
  name: "isnan",
  doc: "NaN, as bool",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.make.node(isnanPrimitive, [x], {}, x.shape, "bool"),
};

const notPrimitive: Primitive = {
  name: "logicalNot",
  lowering: { class: "unary", op: "not" },
  cost: 1,
  reference: ([x]) => x!.data.map((v) => (v === 0 ? 1 : 0)),
};
export const logicalNot: OpRecord<[x: Tensor]> = {
  name: "logicalNot",
  doc: "¬x on bool",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.bools(g.shape())],
  call: (t, x) => t.make.node(notPrimitive, [t.cast(x, "bool")], {}, x.shape, "bool"),
};
