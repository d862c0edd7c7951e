/**
 * Elementwise functions of two tensors; shapes broadcast, dtypes meet by promotion, numbers take the other side's
 * dtype.
 */
import { isFloat, promote, type DType } from "../dtype.ts";
import { DTypeError, sameDevice } from "../errors.ts";
import * as primitives from "../primitives/binary.ts";
import type { Primitive } from "../primitives/primitive.ts";
import { broadcastShapes } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode, operand, type Operand } from "./make.ts";
import {
  ALL_DTYPES,
  FLOATS,
  NUMBERS,
  type OpRecord,
  type OpRecords,
  type Refusal,
  type SampleSource,
  type TensorSample,
  type ToleranceClass,
} from "./record.ts";
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

const DTYPES: Readonly<Record<Domain, readonly DType[]>> = {
  float: FLOATS,
  number: NUMBERS,
  any: ALL_DTYPES,
  bool: FLOATS,
};

function refusals(domain: Domain): (g: SampleSource) => readonly Refusal[] {
  return (g) => [
    ["shapes that do not broadcast", "ShapeError", [g.tensor([2, 3]), g.tensor([2])]],
    ["two numbers", "DTypeError", [1, 2]],
    ...(domain === "float" || domain === "number"
      ? ([["bools", "DTypeError", [g.bools([2]), g.bools([2])]]] as const)
      : []),
    ...(domain === "float" ? ([["integers", "DTypeError", [g.ints([2], 1, 3), 2]]] as const) : []),
    ...(domain === "number" ? ([["a fraction beside integers", "DTypeError", [g.ints([2], 1, 3), 0.5]]] as const) : []),
  ];
}

function sampled(tolerance: ToleranceClass, domain: Domain, right?: TensorSample): OpRecord {
  return {
    tolerance,
    differentiable: tolerance !== "exact",
    dtypes: DTYPES[domain],
    refuses: refusals(domain),
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

function extremum(): OpRecord {
  return {
    tolerance: "exact",
    differentiable: true,
    dtypes: NUMBERS,
    sample: sampleApart,
    refuses: refusals("number"),
  };
}

export const binaryRecords: OpRecords = {
  add: /* @__PURE__ */ sampled("arithmetic", "number"),
  sub: /* @__PURE__ */ sampled("arithmetic", "number"),
  mul: /* @__PURE__ */ sampled("arithmetic", "number"),
  div: /* @__PURE__ */ sampled("arithmetic", "float", { avoid: [0], gap: 0.2 }),
  maximum: /* @__PURE__ */ extremum(),
  minimum: /* @__PURE__ */ extremum(),
  lt: /* @__PURE__ */ sampled("exact", "any"),
  le: /* @__PURE__ */ sampled("exact", "any"),
  eq: /* @__PURE__ */ sampled("exact", "any"),
  ne: /* @__PURE__ */ sampled("exact", "any"),
  gt: /* @__PURE__ */ sampled("exact", "any"),
  ge: /* @__PURE__ */ sampled("exact", "any"),
  logicalAnd: {
    tolerance: "exact",
    differentiable: false,
    sample: sampleBools,
    refuses: /* @__PURE__ */ refusals("bool"),
  },
  logicalOr: {
    tolerance: "exact",
    differentiable: false,
    sample: sampleBools,
    refuses: /* @__PURE__ */ refusals("bool"),
  },
};
