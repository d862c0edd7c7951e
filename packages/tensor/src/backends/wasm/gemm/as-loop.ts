/**
 * A product written as a loop kernel with a reduction over k: for shapes too small or odd for the blocked code, and as its oracle; for one
 * row times a weight in blocks.
 */
import { invariant } from "../../../errors.ts";
import type { GemmKernel, Instr, LoopKernel, ValueId } from "../../../ir/kernel.ts";
import { mapIndex, mapInstr, type Mapping } from "../../../ir/map.ts";
import { cutInto } from "./cut.ts";

/**
 * A kernel of one product; dimensions of the loop kernel: [...batch, m, n | k].
 * @param weights of the pieces that k is cut into, if it is (`cut.ts`): they are the inner dimensions then
 */
export function gemmAsLoop(kernel: GemmKernel, weights: readonly number[] = [1]): LoopKernel {
  const [only] = kernel.products;
  invariant(only !== undefined && kernel.products.length === 1, "a loop has one reduction length");
  const { batch, m: rows, n: columns } = kernel;
  const rank = batch.length;
  const body: Instr[] = [];
  const moveTo = (dims: readonly number[], value: (id: ValueId) => ValueId): Mapping => ({
    value,
    strides: (s) => moveStrides(s, dims, rank + 2 + weights.length),
    dim: (d) => dims[d]!,
  });
  const place = (instrs: readonly Instr[], dims: readonly number[], acc?: ValueId): ((id: ValueId) => ValueId) => {
    const moved: ValueId[] = [];
    const at = (id: ValueId): ValueId => moved[id]!;
    for (const instr of instrs) {
      if (instr.op === "acc") moved.push(acc!);
      else moved.push(body.push(mapInstr(instr, moveTo(dims, at))) - 1);
    }
    return at;
  };
  const lead = Array.from({ length: rank }, (_, d) => d);
  const [m, n] = [rank, rank + 1];
  const [k = 0, ...inner] = weights.map((_, i) => rank + 2 + i);
  const left = cutInto(only.a, [...batch, rows, only.k], rank + 1, weights);
  const right = cutInto(only.b, [...batch, only.k, columns], rank, weights);
  const a = place(left.body, [...lead, m, k, ...inner])(left.value);
  const b = place(right.body, [...lead, k, n, ...inner])(right.value);
  const product = body.push({ op: "mul", type: "f32", a, b }) - 1;
  const acc = body.push({ op: "reduce", type: "f32", combine: "sum", a: product }) - 1;
  const at = place(kernel.epilogue, [...lead, m, n], acc);
  return {
    kind: "loop",
    label: kernel.label,
    args: kernel.args,
    outer: [...kernel.batch, kernel.m, kernel.n],
    inner: right.pieces,
    body,
    stores: kernel.stores.map((s) => ({
      arg: s.arg,
      value: at(s.value),
      index: mapIndex(s.index, moveTo([...lead, m, n], at)),
    })),
  };
}

function moveStrides(strides: readonly number[], dims: readonly number[], rank: number): number[] {
  const out = new Array<number>(rank).fill(0);
  dims.forEach((d, i) => {
    out[d] = strides[i] ?? 0;
  });
  return out;
}
