/**
 * Accumulators that only meet in one sum become one: the products are then added in registers, tile by tile, instead of by the epilogue.
 *
 *   x·w + h·b + bias
 *   epilogue   v0 = acc 0                    v0 = acc 0
 *              v1 = acc 1                    v1 = load bias
 *              v2 = add v0 v1         →      v2 = add v0 v1
 *              v3 = load bias
 *              v4 = add v2 v3
 *   products   x·w → acc 0, h·b → acc 1      x·w → acc 0, h·b → acc 0
 *   x·w + 2 · (h·b) keeps two: acc 1 is multiplied before it is added.
 */
import { accumulators, indexOperands, operands, reachable } from "../ir/facts.ts";
import { mapIndex, mapInstr } from "../ir/map.ts";
import type { GemmKernel, Instr, ValueId } from "../ir/kernel.ts";

export function shareAccumulators(kernel: GemmKernel): GemmKernel {
  if (kernel.products.length === 1) return kernel;
  const { epilogue, stores } = kernel;
  const live = reachable(
    epilogue,
    stores.flatMap((s) => [s.value, ...indexOperands(s.index)]),
  );
  const users = epilogue.map((): ValueId[] => []);
  epilogue.forEach((instr, v) => {
    if (live[v]) for (const from of operands(instr)) users[from]!.push(v);
  });
  for (const s of stores) users[s.value]!.push(-1);

  /** The highest sum that `v` goes into through nothing but sums. */
  const sumOf = (v: ValueId): ValueId => {
    const [user] = users[v]!;
    return users[v]!.length === 1 && user! >= 0 && epilogue[user!]!.op === "add" ? sumOf(user!) : v;
  };
  const keeper = new Map<ValueId, number>();
  const target = Array.from({ length: accumulators(kernel) }, (_, a) => a);
  const dropped = new Set<ValueId>();
  epilogue.forEach((instr, v) => {
    if (instr.op !== "acc" || !live[v]) return;
    const sum = sumOf(v);
    if (sum === v) return;
    const kept = keeper.get(sum);
    if (kept === undefined) return void keeper.set(sum, instr.index);
    target[instr.index] = kept;
    dropped.add(v);
  });
  if (dropped.size === 0) return kernel;

  const order = [...new Set(target)];
  const body: Instr[] = [];
  // a dropped accumulator leaves nothing; a sum of it and x is x
  const moved: (ValueId | undefined)[] = [];
  const at = (v: ValueId): ValueId => moved[v]!;
  epilogue.forEach((instr, v) => {
    if (!live[v] || dropped.has(v)) return void moved.push(undefined);
    if (instr.op === "acc")
      return void moved.push(body.push({ ...instr, index: order.indexOf(target[instr.index]!) }) - 1);
    if (instr.op === "add" && (moved[instr.a] === undefined || moved[instr.b] === undefined))
      return void moved.push(moved[instr.a] ?? moved[instr.b]);
    moved.push(body.push(mapInstr(instr, { value: at })) - 1);
  });
  return {
    ...kernel,
    epilogue: body,
    products: kernel.products.map((p) => ({ ...p, acc: order.indexOf(target[p.acc]!) })),
    stores: stores.map((s) => ({ ...s, value: at(s.value), index: mapIndex(s.index, { value: at }) })),
  };
}
