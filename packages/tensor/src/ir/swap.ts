/** A product computed the other way round: (A·B)ᵀ = Bᵀ·Aᵀ, stored where it was stored before. */
import { mapIndex, mapInstr, type Mapping } from "./map.ts";
import type { GemmKernel, Instr, Operand } from "./kernel.ts";

/** Exchanges the last two iteration dimensions; `lead` come before them. */
function swapped(lead: number): Mapping {
  return {
    strides: (s) => [...s.slice(0, -2), s[s.length - 1]!, s[s.length - 2]!],
    dim: (d) => (d >= lead ? 2 * lead + 1 - d : d),
  };
}

export function turned(kernel: GemmKernel): GemmKernel {
  const to = swapped(kernel.batch.length);
  const body = (instrs: readonly Instr[]): Instr[] => instrs.map((i) => mapInstr(i, to));
  const operand = (x: Operand): Operand => ({ body: body(x.body), value: x.value });
  return {
    ...kernel,
    m: kernel.n,
    n: kernel.m,
    products: kernel.products.map((p) => ({ ...p, a: operand(p.b), b: operand(p.a) })),
    epilogue: body(kernel.epilogue),
    stores: kernel.stores.map((s) => ({ ...s, index: mapIndex(s.index, to) })),
  };
}
