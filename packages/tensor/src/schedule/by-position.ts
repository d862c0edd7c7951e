/** Values found from the row-major position of their element: random bits, weights in four bits. */
import type { ValueId } from "../ir/kernel.ts";
import type { RandomWidth } from "../random/threefry.ts";
import type { Emitter } from "./conversions.ts";
import type { DraftGuard } from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";
import { linearize, type LinearForm } from "./linear-form.ts";

/** Whatever collects instructions and knows how to compute other nodes. */
export interface Puller extends Emitter {
  value(node: ScheduleNode, coords: readonly LinearForm[], guards?: readonly DraftGuard[]): ValueId;
}

export function randomBits(to: Puller, node: ScheduleNode, coords: readonly LinearForm[]): ValueId {
  const words = node.inputs[0]!;
  const [k0, k1] = [0, 1].map((i) => to.value(words, [{ offset: i, strides: [] }]));
  const index = to.emit({ op: "affine", type: "u32", form: linearize(coords, node.shape) });
  const bits = node.attrs["bits"] as RandomWidth;
  const site = to.constant("u32", node.attrs["site"] as number);
  return to.emit({ op: "random", type: "u32", bits, k0: k0!, k1: k1!, index, site });
}

/** table[code] · scale. */
export function dequantized(
  to: Puller,
  node: ScheduleNode,
  coords: readonly LinearForm[],
  guards: readonly DraftGuard[],
): ValueId {
  const [codes, scales, table] = node.inputs as [ScheduleNode, ScheduleNode, ScheduleNode];
  const position = to.emit({ op: "affine", type: "u32", form: linearize(coords, node.shape) });
  const at = (source: ScheduleNode, value: ValueId): ValueId =>
    to.value(source, [{ offset: 0, strides: [], dynamic: [{ value, stride: 1 }] }], guards);
  const shifted = (value: ValueId, by: number): ValueId =>
    to.emit({ op: "shr", type: "u32", a: value, b: to.constant("u32", by) });
  const masked = (value: ValueId, bits: number): ValueId =>
    to.emit({ op: "and", type: "u32", a: value, b: to.constant("u32", bits) });
  const byte = at(codes, shifted(position, 1));
  const odd = to.emit({ op: "eq", type: "bool", a: masked(position, 1), b: to.constant("u32", 1) });
  const code = to.emit({ op: "select", type: "u32", cond: odd, a: masked(byte, 15), b: shifted(byte, 4) });
  const scale = at(scales, shifted(position, Math.log2(node.attrs["blockSize"] as number)));
  return to.emit({ op: "mul", type: "f32", a: at(table, code), b: scale });
}
