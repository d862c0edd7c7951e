/** Elementwise functions of two tensors; shapes broadcast, dtypes meet by promotion, numbers take the other side's dtype. */
import { isFloat, promote } from "../dtype.ts";
import { DTypeError, sameDevice } from "../errors.ts";
import type { BinaryOp } from "../ir/kernel.ts";
import { broadcastShapes } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord, Primitive, SampleSource, TensorSample, ToleranceClass } from "./record.ts";
import type { Operand, Toolbox } from "./toolbox.ts";

interface BinarySpec {
  readonly name: string;
  readonly doc: string;
  readonly op: BinaryOp;
  readonly cost: number;
  readonly f: (a: number, b: number) => number;
  readonly vjp?: (t: Toolbox, g: Tensor, a: Tensor, b: Tensor, y: Tensor) => [Tensor, Tensor];
  readonly tolerance: ToleranceClass;
  readonly right?: TensorSample;
  readonly result?: "bool";
  readonly operands?: "bool" | "float" | "number";
  readonly sample?: (g: SampleSource) => readonly unknown[];
}

function binary(spec: BinarySpec): OpRecord<[a: Operand, b: Operand]> {
  const { vjp } = spec;
  const primitive: Primitive = {
    name: spec.name,
    lowering: { class: "binary", op: spec.op },
    cost: spec.cost,
    reference: ([a, b]) => {
      const out = new Float64Array(a!.data.length);
      for (let i = 0; i < out.length; i++) out[i] = spec.f(a!.data[i]!, b!.data[i]!);
      return out;
    },
    ...(vjp === undefined ? {} : { vjp: (t, g, { inputs, output }) => vjp(t, g, inputs[0]!, inputs[1]!, output) }),
  };
  return {
    name: spec.name,
    doc: spec.doc,
    tolerance: spec.tolerance,
    differentiable: vjp !== undefined,
    sample:
      spec.sample ??
      ((g) => {
        const shape = g.shape();
        return [g.tensor(shape), g.tensor(g.broadcastable(shape), spec.right)];
      }),
    call: (t, left, right) => {
      const [a, b] = meet(t, spec, left, right);
      return t.make.node(primitive, [a, b], {}, a.shape, spec.result ?? a.dtype);
    },
  };
}

function meet(t: Toolbox, spec: BinarySpec, left: Operand, right: Operand): [Tensor, Tensor] {
  let a = t.make.operand(spec.name, left, right as Tensor);
  let b = t.make.operand(spec.name, right, a);
  const dtype = spec.operands === "bool" ? "bool" : promote(a.dtype, b.dtype);
  if (spec.operands === "float" && !isFloat(dtype))
    throw new DTypeError(
      `${spec.name}: needs float tensors, got ${a.dtype} and ${b.dtype}; cast one to f32 first, as torch does by itself`,
    );
  if (spec.operands === "number" && dtype === "bool")
    throw new DTypeError(`${spec.name}: has no meaning on bool; cast to i32 or f32 first`);
  sameDevice(spec.name, a.device, b.device);
  const shape = broadcastShapes(spec.name, a.shape, b.shape);
  a = t.expand(t.cast(a, dtype), shape);
  b = t.expand(t.cast(b, dtype), shape);
  return [a, b];
}

type Binary = OpRecord<[a: Operand, b: Operand]>;

export const add: Binary = binary({
  name: "add",
  doc: "a + b",
  op: "add",
  cost: 1,
  f: (a, b) => a + b,
  operands: "number",
  vjp: (_t, g) => [g, g],
  tolerance: "arithmetic",
});
export const sub: Binary = binary({
  name: "sub",
  doc: "a − b",
  op: "sub",
  cost: 1,
  f: (a, b) => a - b,
  operands: "number",
  vjp: (t, g) => [g, t.neg(g)],
  tolerance: "arithmetic",
});
export const mul: Binary = binary({
  name: "mul",
  doc: "a · b",
  op: "mul",
  cost: 1,
  f: (a, b) => a * b,
  operands: "number",
  vjp: (t, g, a, b) => [t.mul(g, b), t.mul(g, a)],
  tolerance: "arithmetic",
});
// ∂(a/b)/∂b = −(a/b)/b
export const div: Binary = binary({
  name: "div",
  doc: "a / b of floats; an integer is cast to f32 first (torch does so by itself)",
  op: "div",
  cost: 3,
  f: (a, b) => a / b,
  operands: "float",
  tolerance: "arithmetic",
  right: { avoid: [0], gap: 0.2 },
  vjp: (t, g, _a, b, y) => [t.div(g, b), t.neg(t.mul(g, t.div(y, b)))],
});

/** Where a and b tie, each gets half the gradient, as torch does. */
function extremum(name: "maximum" | "minimum", op: "max" | "min", f: (a: number, b: number) => number): Binary {
  return binary({
    name,
    doc: `the ${op === "max" ? "larger" : "smaller"} of a and b; NaN if either is`,
    op,
    cost: 1,
    f,
    operands: "number",
    tolerance: "exact",
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape, { min: -3, max: 3 }), g.tensor(g.broadcastable(shape), { min: 3.5, max: 9 })].sort(() =>
        g.boolean() ? 1 : -1,
      );
    },
    vjp: (t, g, a, b) => {
      const half = t.mul(g, 0.5);
      const zero = t.mul(g, 0);
      const wins = name === "maximum" ? t.gt(a, b) : t.lt(a, b);
      const ties = t.eq(a, b);
      return [t.where(ties, half, t.where(wins, g, zero)), t.where(ties, half, t.where(wins, zero, g))];
    },
  });
}
export const maximum: Binary = extremum("maximum", "max", Math.max);
export const minimum: Binary = extremum("minimum", "min", Math.min);

function comparison(name: string, doc: string, op: BinaryOp, f: (a: number, b: number) => boolean): Binary {
  return binary({ name, doc, op, cost: 1, f: (a, b) => (f(a, b) ? 1 : 0), result: "bool", tolerance: "exact" });
}
export const lt: Binary = comparison("lt", "a < b, as bool", "lt", (a, b) => a < b);
export const le: Binary = comparison("le", "a ≤ b, as bool", "le", (a, b) => a <= b);
export const eq: Binary = comparison("eq", "a = b, as bool", "eq", (a, b) => a === b);
export const ne: Binary = comparison("ne", "a ≠ b, as bool", "ne", (a, b) => a !== b);
export const gt: Binary = {
  ...lt,
  name: "gt",
  doc: "a > b, as bool",
  call: (t, a, b) => t.lt(t.make.operand("gt", b, a as Tensor), t.make.operand("gt", a, b as Tensor)),
};
export const ge: Binary = {
  ...le,
  name: "ge",
  doc: "a ≥ b, as bool",
  call: (t, a, b) => t.le(t.make.operand("ge", b, a as Tensor), t.make.operand("ge", a, b as Tensor)),
};

function logical(name: string, doc: string, op: BinaryOp, f: (a: boolean, b: boolean) => boolean): Binary {
  return binary({
    name,
    doc,
    op,
    cost: 1,
    f: (a, b) => (f(a !== 0, b !== 0) ? 1 : 0),
    result: "bool",
    operands: "bool",
    tolerance: "exact",
    sample: (g) => {
      const shape = g.shape();
      return [g.bools(shape), g.bools(g.broadcastable(shape))];
    },
  });
}
export const logicalAnd: Binary = logical("logicalAnd", "a ∧ b on bool", "and", (a, b) => a && b);
export const logicalOr: Binary = logical("logicalOr", "a ∨ b on bool", "or", (a, b) => a || b);
