/**
 * Elementwise functions of two tensors; shapes broadcast, dtypes meet by promotion, numbers take the other side's
 * dtype.
 */
import { isFloat, promote } from "../dtype.ts";
import { DTypeError, sameDevice } from "../errors.ts";
import * as primitives from "../primitives/binary.ts";
import type { Primitive } from "../primitives/primitive.ts";
import { broadcastShapes } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode, operand, type Operand } from "./make.ts";
import type { OpRecord, OpRecords, SampleSource, TensorSample, ToleranceClass } from "./record.ts";
import { cast } from "./sources.ts";
import { expand } from "./views.ts";

/** What a function can be applied to: floats; floats and integers; anything, as bool; anything. */
type Domain = "float" | "number" | "bool" | "any";

/** Brings both to one dtype and shape. */
function meet(name: string, domain: Domain, left: Operand, right: Operand): [Tensor, Tensor] {
  const a = operand(name, left, right);
  const b = operand(name, right, a);
  const dtype = domain === "bool" ? "bool" : promote(a.dtype, b.dtype);
  if (domain === "float" && !isFloat(dtype))
    throw new DTypeError(
      `${name}: needs float tensors, got ${a.dtype} and ${b.dtype}; cast one to f32 first, as torch does by itself`,
    );
  if (domain === "number" && dtype === "bool")
    throw new DTypeError(`${name}: has no meaning on bool; cast to i32 or f32 first`);
  sameDevice(name, a.device, b.device);
  const shape = broadcastShapes(name, a.shape, b.shape);
  return [expand(cast(a, dtype), shape), expand(cast(b, dtype), shape)];
}

function arithmetic(primitive: Primitive, domain: Domain, left: Operand, right: Operand): Tensor {
  const [a, b] = meet(primitive.name, domain, left, right);
  return makeNode(primitive, [a, b], {}, a.shape, a.dtype);
}

function truth(primitive: Primitive, domain: Domain, left: Operand, right: Operand): Tensor {
  const [a, b] = meet(primitive.name, domain, left, right);
  return makeNode(primitive, [a, b], {}, a.shape, "bool");
}

/** a + b. */
export function add(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.add, "number", a, b);
}
/** a − b. */
export function sub(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.sub, "number", a, b);
}
/** a · b. */
export function mul(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.mul, "number", a, b);
}
/** a / b of floats; an integer is cast to f32 first (torch does so by itself). */
export function div(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.div, "float", a, b);
}
/** The larger of a and b; NaN if either is. */
export function maximum(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.maximum, "number", a, b);
}
/** The smaller of a and b; NaN if either is. */
export function minimum(a: Operand, b: Operand): Tensor {
  return arithmetic(primitives.minimum, "number", a, b);
}
/** a < b, as bool. */
export function lt(a: Operand, b: Operand): Tensor {
  return truth(primitives.lt, "any", a, b);
}
/** a ≤ b, as bool. */
export function le(a: Operand, b: Operand): Tensor {
  return truth(primitives.le, "any", a, b);
}
/** a = b, as bool. */
export function eq(a: Operand, b: Operand): Tensor {
  return truth(primitives.eq, "any", a, b);
}
/** a ≠ b, as bool. */
export function ne(a: Operand, b: Operand): Tensor {
  return truth(primitives.ne, "any", a, b);
}
/** a > b, as bool. */
export function gt(a: Operand, b: Operand): Tensor {
  return lt(operand("gt", b, a), operand("gt", a, b));
}
/** a ≥ b, as bool. */
export function ge(a: Operand, b: Operand): Tensor {
  return le(operand("ge", b, a), operand("ge", a, b));
}
/** a ∧ b on bool. */
export function logicalAnd(a: Operand, b: Operand): Tensor {
  return truth(primitives.logicalAnd, "bool", a, b);
}
/** a ∨ b on bool. */
export function logicalOr(a: Operand, b: Operand): Tensor {
  return truth(primitives.logicalOr, "bool", a, b);
}

function sampled(tolerance: ToleranceClass, differentiable: boolean, right?: TensorSample): OpRecord {
  return {
    tolerance,
    differentiable,
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape), g.tensor(g.broadcastable(shape), right)];
    },
  };
}

/** Without ties, where the gradient is shared. */
function sampleApart(g: SampleSource): readonly unknown[] {
  const shape = g.shape();
  return [g.tensor(shape, { min: -3, max: 3 }), g.tensor(g.broadcastable(shape), { min: 3.5, max: 9 })].sort(() =>
    g.boolean() ? 1 : -1,
  );
}

function sampleBools(g: SampleSource): readonly unknown[] {
  const shape = g.shape();
  return [g.bools(shape), g.bools(g.broadcastable(shape))];
}

export const binaryRecords: OpRecords = {
  add: /* @__PURE__ */ sampled("arithmetic", true),
  sub: /* @__PURE__ */ sampled("arithmetic", true),
  mul: /* @__PURE__ */ sampled("arithmetic", true),
  div: /* @__PURE__ */ sampled("arithmetic", true, { avoid: [0], gap: 0.2 }),
  maximum: { tolerance: "exact", differentiable: true, sample: sampleApart },
  minimum: { tolerance: "exact", differentiable: true, sample: sampleApart },
  lt: /* @__PURE__ */ sampled("exact", false),
  le: /* @__PURE__ */ sampled("exact", false),
  eq: /* @__PURE__ */ sampled("exact", false),
  ne: /* @__PURE__ */ sampled("exact", false),
  gt: /* @__PURE__ */ sampled("exact", false),
  ge: /* @__PURE__ */ sampled("exact", false),
  logicalAnd: { tolerance: "exact", differentiable: false, sample: sampleBools },
  logicalOr: { tolerance: "exact", differentiable: false, sample: sampleBools },
};
