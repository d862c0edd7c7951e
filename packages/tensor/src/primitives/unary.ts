/** Elementwise functions of one tensor, by kernel instruction. */
import type { Primitive } from "./primitive.ts";
import { scalarFunctions, type ScalarFunction, type UnaryOp } from "./scalar.ts";

/** Where the op is not called as the instruction is. */
const NAMES: Partial<Record<UnaryOp, string>> = { recip: "reciprocal", not: "logicalNot" };

export const unary: Readonly<Record<UnaryOp, Primitive>> = /* @__PURE__ */ fromTable(scalarFunctions);

function fromTable(rows: Readonly<Record<UnaryOp, ScalarFunction>>): Record<UnaryOp, Primitive> {
  const made = (Object.entries(rows) as [UnaryOp, ScalarFunction][]).map(([op, { cost, f }]): [UnaryOp, Primitive] => [
    op,
    {
      name: NAMES[op] ?? op,
      lowering: { class: "unary", op },
      cost,
      reference: ([x]) => x!.data.map((v) => f(v)),
    },
  ]);
  return Object.fromEntries(made) as Record<UnaryOp, Primitive>;
}
