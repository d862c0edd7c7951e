/** Instructions with other value numbers, other strides or other dimensions; everything else stays. */
import type { DynamicTerm, Guard, Index, Instr, ValueId } from "./kernel.ts";

export interface Mapping {
  readonly value?: (id: ValueId) => ValueId;
  readonly strides?: (strides: readonly number[]) => readonly number[];
  readonly dim?: (dim: number) => number;
}

export function mapIndex(index: Index, to: Mapping): Index {
  return {
    ...index,
    ...mapAddress(index, to),
    ...(index.guards === undefined ? {} : { guards: index.guards.map((g) => mapGuard(g, to)) }),
  };
}

function mapGuard(guard: Guard, to: Mapping): Guard {
  return { ...guard, ...mapAddress(guard, to) };
}

function mapAddress(
  { strides, dynamic }: Index | Guard,
  to: Mapping,
): { strides: readonly number[]; dynamic?: readonly DynamicTerm[] } {
  return {
    strides: to.strides?.(strides) ?? strides,
    ...(dynamic === undefined
      ? {}
      : { dynamic: dynamic.map((t) => ({ ...t, value: to.value?.(t.value) ?? t.value })) }),
  };
}

export function mapInstr(instr: Instr, to: Mapping): Instr {
  const at = (id: ValueId): ValueId => to.value?.(id) ?? id;
  switch (instr.op) {
    case "load":
      return { ...instr, index: mapIndex(instr.index, to) };
    case "inbounds":
      return { ...instr, guards: instr.guards.map((g) => mapGuard(g, to)) };
    case "coord":
      return { ...instr, dim: to.dim?.(instr.dim) ?? instr.dim };
    case "const":
    case "acc":
      return instr;
    case "select":
      return { ...instr, cond: at(instr.cond), a: at(instr.a), b: at(instr.b) };
    case "random":
      return { ...instr, k0: at(instr.k0), k1: at(instr.k1), index: at(instr.index), row: at(instr.row) };
    default:
      return "b" in instr ? { ...instr, a: at(instr.a), b: at(instr.b) } : { ...instr, a: at(instr.a) };
  }
}
