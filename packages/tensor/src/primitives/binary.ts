/** Elementwise functions of two tensors of one shape and dtype. */
import type { BinaryOp } from "../ir/kernel.ts";
import type { Primitive } from "./primitive.ts";

function binary(name: string, op: BinaryOp, cost: number, f: (a: number, b: number) => number): Primitive {
  return {
    name,
    lowering: { class: "binary", op },
    cost,
    reference: ([a, b]) => {
      const out = new Float64Array(a!.data.length);
      for (let i = 0; i < out.length; i++) out[i] = f(a!.data[i]!, b!.data[i]!);
      return out;
    },
  };
}

export const add: Primitive = /* @__PURE__ */ binary("add", "add", 1, (a, b) => a + b);
export const sub: Primitive = /* @__PURE__ */ binary("sub", "sub", 1, (a, b) => a - b);
export const mul: Primitive = /* @__PURE__ */ binary("mul", "mul", 1, (a, b) => a * b);
export const div: Primitive = /* @__PURE__ */ binary("div", "div", 3, (a, b) => a / b);
export const maximum: Primitive = /* @__PURE__ */ binary("maximum", "max", 1, Math.max);
export const minimum: Primitive = /* @__PURE__ */ binary("minimum", "min", 1, Math.min);
export const lt: Primitive = /* @__PURE__ */ binary("lt", "lt", 1, (a, b) => Number(a < b));
export const le: Primitive = /* @__PURE__ */ binary("le", "le", 1, (a, b) => Number(a <= b));
export const eq: Primitive = /* @__PURE__ */ binary("eq", "eq", 1, (a, b) => Number(a === b));
export const ne: Primitive = /* @__PURE__ */ binary("ne", "ne", 1, (a, b) => Number(a !== b));
export const logicalAnd: Primitive = /* @__PURE__ */ binary("logicalAnd", "and", 1, (a, b) =>
  Number(a !== 0 && b !== 0),
);
export const logicalOr: Primitive = /* @__PURE__ */ binary("logicalOr", "or", 1, (a, b) => Number(a !== 0 || b !== 0));
