/**
 * How much may stand on one another in one kernel. Long chains of elementwise operations are cut into several:
 *
 *     x₀ → x₁ → … → x₁₀₀₀   becomes   x₀ → … → x₂₅₅, stored → … → x₅₁₀, stored → …
 */
import type { ScheduleNode } from "./graph.ts";

/**
 * Most nodes on a way through a kernel. Lowering and printing call themselves once for each, and compilers' time grows faster than
 * the code. Kernels of training steps stay below 50.
 */
export const TALLEST: number = 256;

/** Nodes to be stored so that no kernel becomes taller. `live` is in order of dependence. */
export function cutsOf(live: readonly ScheduleNode[], stored: ReadonlySet<ScheduleNode>): ScheduleNode[] {
  const cuts: ScheduleNode[] = [];
  const heights = new Map<ScheduleNode, number>();
  for (const node of live) {
    if (node.leaf !== undefined || node.constant !== undefined || node.lowering.class === "matmul" || stored.has(node))
      continue;
    let height = 1;
    for (const input of node.inputs) height = Math.max(height, (heights.get(input) ?? 0) + 1);
    // a load comes first, and a kernel may end in one node more
    if (height < TALLEST - 2) heights.set(node, height);
    else cuts.push(node);
  }
  return cuts;
}
