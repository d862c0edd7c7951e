/**
 * What a product finds in memory and what it computes while it packs an operand. Packing touches every element anyway, so views,
 * casts and a few operations on the way cost little, and what they would have stored is never written: a widened or dequantized
 * weight, an input after dropout.
 *
 *   operand of a product                        in memory                         computed while packing
 *   transpose(cast(w, f32)), w in f16           w                                 widening, transpose
 *   where(r ≤ p, x · c, 0), dropout             the mask r ≤ p, x                 · c, the choice
 *   cast(q, f32) · scale [n, 1], q in u8        q, scale                          both operations
 *   exp(x)                                      exp(x), by a kernel of its own    nothing
 */
import { bytesOf } from "../dtype.ts";
import type { Target } from "../ir/target.ts";
import { valueTypeOf } from "../ir/kernel.ts";
import type { ScheduleNode } from "./graph.ts";

export interface Operands {
  /** Nodes that must be in memory. */
  readonly stored: Set<ScheduleNode>;
  /** Nodes that are computed while packing, by each product that wants them. */
  readonly packed: Set<ScheduleNode>;
}

export function placeOperand(operand: ScheduleNode, { stored, packed }: Operands, target: Target): void {
  const seen = new Set<ScheduleNode>();
  const pending = [operand];
  while (pending.length > 0) {
    const node = pending.pop()!;
    if (seen.has(node) || inMemory(node, stored) || node.lowering.class === "matmul") continue;
    seen.add(node);
    const inputs = packable(node, stored, packed, target);
    if (inputs === undefined) {
      stored.add(node);
    } else {
      packed.add(node);
      pending.push(...inputs.toReversed());
    }
  }
}

/** What an operand that is computed while packing is computed from; undefined where it must be stored. */
function packable(
  node: ScheduleNode,
  stored: ReadonlySet<ScheduleNode>,
  packed: Set<ScheduleNode>,
  target: Target,
): readonly ScheduleNode[] | undefined {
  const { lowering } = node;
  if (passesThrough(node)) return [node.inputs[0]!];
  if (!target.computesOperands) return undefined;
  if (lowering.class === "dequantize") return node.inputs;
  if (lowering.class === "select" && isMasked(node))
    return node.inputs.filter((x) => x.constant === undefined).map((x) => scaled(x, packed));
  return isNarrow(node, stored, target.repeatCost) ? node.inputs : undefined;
}

function inMemory(node: ScheduleNode, stored: ReadonlySet<ScheduleNode>): boolean {
  return node.leaf !== undefined || node.constant !== undefined || stored.has(node);
}

/** Views, and casts that only widen. */
function passesThrough({ lowering, inputs }: ScheduleNode): boolean {
  if (lowering.class === "view") return lowering.view !== "pad" && lowering.view !== "alias";
  return lowering.class === "cast" && valueTypeOf(inputs[0]!.dtype) === "f32";
}

/** A value or a constant, chosen by a mask: dropout. */
function isMasked({ inputs }: ScheduleNode): boolean {
  const [mask, a, b] = inputs;
  return mask!.dtype === "bool" && (a!.constant === undefined) !== (b!.constant === undefined);
}

/** x of x·c, since the factor is free. */
function scaled(node: ScheduleNode, packed: Set<ScheduleNode>): ScheduleNode {
  const { lowering, inputs } = node;
  if (lowering.class !== "binary" || lowering.op !== "mul" || inputs[1]!.constant === undefined) return node;
  packed.add(node);
  return inputs[0]!;
}

/** Arithmetic on parameters and inputs that are narrower than its result: integers times a scale per row. */
function isNarrow(node: ScheduleNode, stored: ReadonlySet<ScheduleNode>, repeatCost: number): boolean {
  const bytes = bytesRead(node, { stored, limit: node.size, repeatCost, known: new Map() }, MOST_STEPS);
  return bytes !== undefined && bytes < bytesOf(node.dtype) * node.size;
}

interface Reading {
  readonly stored: ReadonlySet<ScheduleNode>;
  /** Elements of the result. */
  readonly limit: number;
  readonly repeatCost: number;
  readonly known: Map<ScheduleNode, number | undefined>;
}

/** Operations one after another that packing may do at most: more than any format's decoding takes. */
const MOST_STEPS = 64;

/** Bytes behind `node`, each as often as it is asked for; undefined where that is no small matter. */
function bytesRead(node: ScheduleNode, reading: Reading, steps: number): number | undefined {
  const { known } = reading;
  if (!known.has(node)) known.set(node, steps === 0 ? undefined : countBytes(node, reading, steps));
  return known.get(node);
}

function countBytes(node: ScheduleNode, reading: Reading, steps: number): number | undefined {
  const { stored, limit, repeatCost } = reading;
  if (node.constant !== undefined) return 0;
  if (inMemory(node, stored)) return Math.min(node.size, limit) * bytesOf(node.dtype);
  const { lowering } = node;
  const simple =
    lowering.class === "unary" ||
    lowering.class === "binary" ||
    lowering.class === "cast" ||
    (lowering.class === "view" && lowering.view !== "pad" && lowering.view !== "alias");
  if (!simple || node.primitive.cost > repeatCost) return undefined;
  let sum = 0;
  for (const input of node.inputs) {
    const bytes = bytesRead(input, reading, steps - 1);
    if (bytes === undefined) return undefined;
    sum += bytes;
  }
  // a slice reads its part
  return lowering.class === "view" && lowering.view === "slice" ? (sum * node.size) / node.inputs[0]!.size : sum;
}
