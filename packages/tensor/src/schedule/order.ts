/**
 * Puts kernels in an order: writers before readers, readers of a parameter's old value before the kernel that overwrites it, otherwise
 * results first and the rest as built.
 *
 *   as built             who waits for whom                              order
 *   Y  y = x·w           L for Y, since it reads y                       Y
 *   G  g = …             W for G, since it reads g                       L   a result, and y may be forgotten after it
 *   L  loss = sum(y)     W for Y, which reads the w that W overwrites    G
 *   W  w ← w − g                                                         W
 *   If Y read g and G read w′, the three would stand in a circle: w′ is then computed aside and copied into w at the end.
 */
import type { Cell } from "../graph/cell.ts";
import type { ScheduleNode } from "./graph.ts";
import { writtenBelow } from "./links.ts";
import type { KernelDraft } from "./lower.ts";

/** The order, or the parameter update that stands in a circle and must be computed aside first. */
export function orderKernels(
  drafts: readonly KernelDraft[],
  homes: ReadonlyMap<ScheduleNode, Cell | number>,
): KernelDraft[] | { readonly conflict: ScheduleNode } {
  const writer = new Map<ScheduleNode, KernelDraft>();
  const overwriter = new Map<Cell, { draft: KernelDraft; node: ScheduleNode }>();
  for (const draft of drafts) {
    for (const node of draft.writes) {
      writer.set(node, draft);
      const home = homes.get(node);
      if (typeof home === "object") overwriter.set(home, { draft, node });
    }
  }
  const after = new Map<KernelDraft, Set<KernelDraft>>(drafts.map((d) => [d, new Set()]));
  const waits = new Map<KernelDraft, number>(drafts.map((d) => [d, 0]));
  const edge = (first: KernelDraft, then: KernelDraft): void => {
    if (first === then || after.get(first)!.has(then)) return;
    after.get(first)!.add(then);
    waits.set(then, waits.get(then)! + 1);
  };
  for (const draft of drafts) {
    for (const read of draft.reads) {
      const from = writer.get(read);
      if (from !== undefined) edge(from, draft);
      const overwritten = read.leaf?.kind === "cell" ? overwriter.get(read.leaf.cell) : undefined;
      if (overwritten !== undefined) edge(draft, overwritten.draft);
    }
    for (const node of writtenBelow(draft.waits, writer)) edge(writer.get(node)!, draft);
  }
  // results as soon as they can be had, for what they read may then be forgotten; the others as they were built: `grad` makes each weight's
  // gradient next to where its operands are last needed otherwise. A product is as old as itself, not as the sum that it is added to in
  // passing: gradients that are accumulated would else all be made at the end, and hold what they are made of until then
  const rank = (d: KernelDraft): number => (d.writes.every((n) => homes.has(n)) ? -1 : (d.product ?? d.root).origin.id);
  const ready = drafts.filter((d) => waits.get(d) === 0).sort((a, b) => rank(b) - rank(a));
  const order: KernelDraft[] = [];
  while (ready.length > 0) {
    const draft = ready.pop()!;
    order.push(draft);
    for (const next of after.get(draft)!) {
      const left = waits.get(next)! - 1;
      waits.set(next, left);
      if (left === 0) insert(ready, next, rank);
    }
  }
  if (order.length === drafts.length) return order;
  const done = new Set(order);
  for (const { draft, node } of overwriter.values())
    if (!done.has(draft) && inCircle(draft, after)) return { conflict: node };
  throw new Error("internal: kernels wait for each other in a circle");
}

/** Whether what comes after `draft` comes before it too; those that merely wait for such a circle do not count. */
function inCircle(draft: KernelDraft, after: ReadonlyMap<KernelDraft, ReadonlySet<KernelDraft>>): boolean {
  const seen = new Set<KernelDraft>();
  const stack = [draft];
  while (stack.length > 0) {
    for (const next of after.get(stack.pop()!)!) {
      if (next === draft) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
  return false;
}

/** Keeps `ready` sorted with the smallest rank last. */
function insert(ready: KernelDraft[], draft: KernelDraft, rank: (d: KernelDraft) => number): void {
  const r = rank(draft);
  let low = 0;
  let high = ready.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (rank(ready[mid]!) > r) low = mid + 1;
    else high = mid;
  }
  ready.splice(low, 0, draft);
}
