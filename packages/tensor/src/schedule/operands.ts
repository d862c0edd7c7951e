/**
 * What a product finds in memory and what it computes while it packs an operand. Packing touches every element anyway, so views,
 * casts and a few operations on the way cost little, and what they would have stored is never written: a widened or dequantized
 * weight, an input after dropout.
 */
import { bytesOf } from "../dtype.ts";
import { valueTypeOf } from "./builder.ts";
import type { ScheduleNode } from "./graph.ts";

export interface Operands {
  /** Nodes that must be in memory. */
  readonly stored: Set<ScheduleNode>;
  /** Nodes that are computed while packing, by each product that wants them. */
  readonly packed: Set<ScheduleNode>;
}

export function placeOperand(node: ScheduleNode, { stored, packed }: Operands): void {
  if (inMemory(node, stored) || node.lowering.class === "matmul") return;
  const visit = (inputs: readonly ScheduleNode[]): void => {
    packed.add(node);
    for (const x of inputs) placeOperand(x, { stored, packed });
  };
  const { lowering } = node;
  if (passesThrough(node)) return visit([node.inputs[0]!]);
  if (lowering.class === "dequantize") return visit(node.inputs);
  if (lowering.class === "select" && isMasked(node))
    return visit(node.inputs.filter((x) => x.constant === undefined).map((x) => scaled(x, packed)));
  if (isNarrow(node, stored)) return visit(node.inputs);
  stored.add(node);
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
function isNarrow(node: ScheduleNode, stored: ReadonlySet<ScheduleNode>): boolean {
  const bytes = bytesRead(node, stored, node.size);
  return bytes !== undefined && bytes < bytesOf(node.dtype) * node.size;
}

function bytesRead(node: ScheduleNode, stored: ReadonlySet<ScheduleNode>, limit: number): number | undefined {
  if (node.constant !== undefined) return 0;
  if (inMemory(node, stored)) return Math.min(node.size, limit) * bytesOf(node.dtype);
  const { lowering } = node;
  const simple =
    lowering.class === "unary" ||
    lowering.class === "binary" ||
    lowering.class === "cast" ||
    (lowering.class === "view" && lowering.view !== "pad" && lowering.view !== "alias");
  if (!simple || node.primitive.cost > 3) return undefined;
  let sum = 0;
  for (const input of node.inputs) {
    const bytes = bytesRead(input, stored, limit);
    if (bytes === undefined) return undefined;
    sum += bytes;
  }
  return sum;
}
