/** Rounding and casts as instructions: what a value of a dtype is in a register. */
import type { DType } from "../dtype.ts";
import { valueTypeOf, type ValueId, type ValueType } from "../ir/kernel.ts";
import type { DraftInstr } from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";

/** Whatever collects instructions. */
export interface Emitter {
  emit(instr: DraftInstr): ValueId;
  constant(type: ValueType, value: number): ValueId;
}

/** f16 and bf16 results are rounded where hardware would store them; moving or choosing values needs no rounding. */
export function rounded(to: Emitter, { dtype, lowering }: ScheduleNode, value: ValueId): ValueId {
  if (dtype === "u8") return to.emit({ op: "and", type: "u32", a: value, b: to.constant("u32", 255) });
  if (dtype !== "f16" && dtype !== "bf16") return value;
  const exact =
    (lowering.class === "unary" && (lowering.op === "neg" || lowering.op === "abs" || lowering.op === "floor")) ||
    (lowering.class === "binary" && (lowering.op === "max" || lowering.op === "min"));
  return exact ? value : to.emit({ op: "round", type: "f32", to: dtype, a: value });
}

export function castValue(into: Emitter, value: ValueId, from: DType, to: DType): ValueId {
  const [source, target] = [valueTypeOf(from), valueTypeOf(to)];
  let out = value;
  // integers saturate like floats do
  if (source === "i32" && target === "u32")
    out = into.emit({ op: "max", type: "i32", a: out, b: into.constant("i32", 0) });
  if (source === "u32" && target === "i32" && from !== "u8")
    out = into.emit({ op: "min", type: "u32", a: out, b: into.constant("u32", 2147483647) });
  if (source !== target) out = into.emit({ op: "cast", type: target, a: out });
  if (to === "u8" && from !== "u8" && from !== "bool")
    out = into.emit({ op: "min", type: "u32", a: out, b: into.constant("u32", 255) });
  if ((to === "f16" || to === "bf16") && from !== to) out = into.emit({ op: "round", type: "f32", to, a: out });
  return out;
}
