/**
 * Where a product's result is wanted several times over, by elementwise nodes alone: x of GELU(x) and of its slope. They are computed beside the
 * product, and what leaves the kernel is what they come to; the result itself is never stored.
 *
 *              ┌─ y = h · Φ(h) ──────────── the next layer          gemm x·w
 *   h = x·w ───┤                                                      epilogue  h, Φ(h), y, φ(h), g
 *              └─ g = Φ(h) + h · φ(h) ───── the backward pass         stores    y, g
 *
 *   Φ(h) is computed once for both. If a product or a reduction wanted h itself, h would be stored, and this would not be done.
 */
import type { Target } from "../ir/target.ts";
import { valueTypeOf } from "../ir/kernel.ts";
import { isReshape, type ScheduleNode } from "./graph.ts";
import { sameShape } from "../shape.ts";

export interface Fan {
  /** Everything computed beyond the result, inputs first. */
  readonly nodes: readonly ScheduleNode[];
  /** Those of them that are stored. */
  readonly results: readonly ScheduleNode[];
}

export interface FanOptions {
  readonly target: Target;
  readonly stored: ReadonlySet<ScheduleNode>;
  readonly isLive: (node: ScheduleNode) => boolean;
  /** Nodes that other kernels compute. */
  readonly isTaken: (node: ScheduleNode) => boolean;
}

/** Where the search ends: beyond what any activation and its slope take. */
const MAX_NODES = 64;

export function fanOf(
  source: ScheduleNode,
  matmul: ScheduleNode,
  { target, stored, isLive, isTaken }: FanOptions,
): Fan | undefined {
  if (stored.has(source)) return undefined;
  const inside = new Set<ScheduleNode>([source]);
  const waiting = new Set(source.users.filter(isLive));
  const joins = (node: ScheduleNode): boolean =>
    isElementwise(node) &&
    sameShape(node.shape, source.shape) &&
    !isTaken(node) &&
    node.inputs.every((x) => (inside.has(x) ? x === source || !stored.has(x) : isReady(x, matmul)));
  while (waiting.size > 0) {
    // ids are in order of dependence, so the inputs of the first have been decided on
    const node = [...waiting].reduce((first, n) => (n.id < first.id ? n : first));
    waiting.delete(node);
    if (!joins(node)) continue;
    inside.add(node);
    if (inside.size > MAX_NODES) return undefined;
    if (!stored.has(node)) for (const user of node.users) if (isLive(user)) waiting.add(user);
  }
  const leaves = (node: ScheduleNode): boolean =>
    stored.has(node) || node.users.some((u) => isLive(u) && !inside.has(u));
  if (leaves(source)) return undefined;
  inside.delete(source);
  const nodes = [...inside];
  const results = nodes.filter(leaves);
  if (results.length === 0 || results.length > target.maxProductResults) return undefined;
  // cheap arithmetic is better done again by each that wants it
  if (results.length > 1 && nodes.every((n) => n.primitive.cost <= target.repeatCost)) return undefined;
  return { nodes, results };
}

function isElementwise({ lowering, dtype, constant }: ScheduleNode): boolean {
  return (
    constant === undefined &&
    valueTypeOf(dtype) === "f32" &&
    ["unary", "binary", "select", "cast"].includes(lowering.class)
  );
}

/** Whether a node is there when the product starts: it was built before, or is a view of what was. */
function isReady(node: ScheduleNode, matmul: ScheduleNode): boolean {
  for (let at = node; ; at = at.inputs[0]!) {
    if (at.constant !== undefined || at.leaf !== undefined || at.id < matmul.id) return true;
    const { lowering } = at;
    if (
      lowering.class !== "view" ||
      !(isReshape(lowering) || lowering.view === "expand" || lowering.view === "permute")
    )
      return false;
  }
}
