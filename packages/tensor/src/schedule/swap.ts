/** Exchanges the last two iteration dimensions of an instruction list. */
import { mapIndex, mapInstr } from "../ir/map.ts";
import type { Index, Instr } from "../ir/kernel.ts";

function swapStrides(strides: readonly number[]): number[] {
  return [...strides.slice(0, -2), strides[strides.length - 1]!, strides[strides.length - 2]!];
}

export function swapIndex(index: Index): Index {
  return mapIndex(index, { strides: swapStrides });
}

/** `lead` dimensions come before the two that are exchanged. */
export function swapLastDims(body: readonly Instr[], lead: number): Instr[] {
  return body.map((i) => mapInstr(i, { strides: swapStrides, dim: (d) => (d >= lead ? 2 * lead + 1 - d : d) }));
}
