/** Exchanges the last two iteration dimensions of an instruction list. */
import type { Guard, Index, Instr } from "../ir/kernel.ts";

function swapStrides(strides: readonly number[]): number[] {
  return [...strides.slice(0, -2), strides[strides.length - 1]!, strides[strides.length - 2]!];
}

function swapGuard(guard: Guard): Guard {
  return { ...guard, strides: swapStrides(guard.strides) };
}

export function swapIndex(index: Index): Index {
  return { ...index, strides: swapStrides(index.strides), ...(index.guards === undefined ? {} : { guards: index.guards.map(swapGuard) }) };
}

/** `lead` dimensions come before the two that are exchanged. */
export function swapLastDims(body: readonly Instr[], lead: number): Instr[] {
  return body.map((i) => {
    if (i.op === "load") return { ...i, index: swapIndex(i.index) };
    if (i.op === "inbounds") return { ...i, guards: i.guards.map(swapGuard) };
    return i.op === "coord" && i.dim >= lead ? { ...i, dim: 2 * lead + 1 - i.dim } : i;
  });
}
