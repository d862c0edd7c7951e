/** A product written as a loop kernel with a reduction over k: for shapes too small or odd for the blocked code, and as its oracle. */
import { invariant } from "../../../errors.ts";
import type { GemmKernel, Index, Instr, LoopKernel, ValueId } from "../../../ir/kernel.ts";

/** A kernel of one product; dimensions of the loop kernel: [...batch, m, n | k]. */
export function gemmAsLoop(kernel: GemmKernel): LoopKernel {
  const [only] = kernel.products;
  invariant(only !== undefined && kernel.products.length === 1, "a loop has one reduction length");
  const rank = kernel.batch.length;
  const body: Instr[] = [];
  const place = (instrs: readonly Instr[], dims: readonly number[], acc?: ValueId): ((id: ValueId) => ValueId) => {
    const moved: ValueId[] = [];
    const at = (id: ValueId): ValueId => moved[id]!;
    for (const instr of instrs) {
      if (instr.op === "acc") moved.push(acc!);
      else moved.push(body.push(relocate(instr, dims, rank + 3, at)) - 1);
    }
    return at;
  };
  const lead = Array.from({ length: rank }, (_, d) => d);
  const [m, n, k] = [rank, rank + 1, rank + 2];
  const a = place(only.a.body, [...lead, m, k])(only.a.value);
  const b = place(only.b.body, [...lead, k, n])(only.b.value);
  const product = body.push({ op: "mul", type: "f32", a, b }) - 1;
  const acc = body.push({ op: "reduce", type: "f32", combine: "sum", a: product }) - 1;
  const at = place(kernel.epilogue, [...lead, m, n], acc);
  return {
    kind: "loop", label: kernel.label, args: kernel.args, outer: [...kernel.batch, kernel.m, kernel.n], inner: [only.k], body,
    stores: kernel.stores.map((s) => ({ arg: s.arg, value: at(s.value), index: moveIndex(s.index, [...lead, m, n], rank + 3, at) })),
  };
}

function moveStrides(strides: readonly number[], dims: readonly number[], rank: number): number[] {
  const out = new Array<number>(rank).fill(0);
  dims.forEach((d, i) => { out[d] = strides[i] ?? 0; });
  return out;
}

function moveIndex(index: Index, dims: readonly number[], rank: number, at: (id: ValueId) => ValueId): Index {
  const dynamic = (terms: Index["dynamic"]): Pick<Index, "dynamic"> => (terms === undefined ? {} : { dynamic: terms.map((t) => ({ ...t, value: at(t.value) })) });
  return {
    ...index, strides: moveStrides(index.strides, dims, rank), ...dynamic(index.dynamic),
    ...(index.guards === undefined ? {} : { guards: index.guards.map((g) => ({ ...g, strides: moveStrides(g.strides, dims, rank), ...dynamic(g.dynamic) })) }),
  };
}

function relocate(instr: Instr, dims: readonly number[], rank: number, at: (id: ValueId) => ValueId): Instr {
  switch (instr.op) {
    case "load": return { ...instr, index: moveIndex(instr.index, dims, rank, at) };
    case "inbounds": return { ...instr, guards: moveIndex({ offset: 0, strides: [], guards: instr.guards }, dims, rank, at).guards! };
    case "coord": return { ...instr, dim: dims[instr.dim]! };
    case "const": case "acc": return instr;
    case "select": return { ...instr, cond: at(instr.cond), a: at(instr.a), b: at(instr.b) };
    case "random": return { ...instr, k0: at(instr.k0), k1: at(instr.k1), index: at(instr.index), site: at(instr.site) };
    default: return "b" in instr ? { ...instr, a: at(instr.a), b: at(instr.b) } : { ...instr, a: at(instr.a) };
  }
}
