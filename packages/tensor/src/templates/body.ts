/** Writes the scalar code of a kernel by hand, an instruction a call. */
import type { BinaryOp, Index, Instr, UnaryOp, ValueId, ValueType } from "../ir/kernel.ts";

export class Body {
  readonly code: Instr[] = [];

  push(instr: Instr): ValueId {
    return this.code.push(instr) - 1;
  }

  constant(value: number, type: ValueType = "f32"): ValueId {
    return this.push({ op: "const", type, value });
  }

  /** An element at a place that is linear in the coordinates. */
  load(arg: number, strides: readonly number[], type: ValueType = "f32", offset: number = 0): ValueId {
    const index: Index = { offset, strides };
    return this.push({ op: "load", type, arg, index });
  }

  coord(dim: number): ValueId {
    return this.push({ op: "coord", type: "i32", dim });
  }

  unary(op: UnaryOp, a: ValueId): ValueId {
    return this.push({ op, type: "f32", a });
  }

  /** @param type of the result */
  binary(op: BinaryOp, a: ValueId, b: ValueId, type: ValueType = "f32"): ValueId {
    return this.push({ op, type, a, b });
  }

  select(cond: ValueId, a: ValueId, b: ValueId): ValueId {
    return this.push({ op: "select", type: "f32", cond, a, b });
  }

  reduce(combine: "sum" | "max", a: ValueId): ValueId {
    return this.push({ op: "reduce", type: "f32", combine, a });
  }

  /** A product's sum, in its epilogue. */
  sum(): ValueId {
    return this.push({ op: "acc", type: "f32", index: 0 });
  }
}
