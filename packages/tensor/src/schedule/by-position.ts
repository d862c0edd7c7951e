/** Values found from the position of their element: random bits, weights in four bits. */
import type { ValueId } from "../ir/kernel.ts";
import type { RandomAttrs } from "../random/layout.ts";
import type { Emitter } from "./conversions.ts";
import type { DraftGuard } from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";
import { addForms, linearize, scaleForm, type LinearForm } from "./linear-form.ts";

/** Whatever collects instructions and knows how to compute other nodes. */
export interface Puller extends Emitter {
  value(node: ScheduleNode, coords: readonly LinearForm[], guards?: readonly DraftGuard[]): ValueId;
}

/** Counter and key as `random/layout.ts` has them: the place and the row are linear in the coordinates. */
export function randomBits(to: Puller, node: ScheduleNode, coords: readonly LinearForm[]): ValueId {
  const [words, site] = node.inputs as [ScheduleNode, ScheduleNode];
  const { bits, start, strides, rows, perExample } = node.attrs as unknown as RandomAttrs;
  const word = (i: number, of = words): ValueId => to.value(of, [{ offset: i, strides: [] }]);
  const along = (steps: readonly number[], offset: number): ValueId => {
    const form = steps.reduce<LinearForm>(
      (sum, step, d) => (step === 0 || node.shape[d] === 1 ? sum : addForms(sum, scaleForm(coords[d]!, step))),
      { offset, strides: [] },
    );
    return to.emit({ op: "affine", type: "u32", form });
  };
  const u32 = (op: "add" | "mul", a: ValueId, b: ValueId): ValueId => to.emit({ op, type: "u32", a, b });
  const first = (): ValueId => (perExample === 1 ? word(2) : u32("mul", word(2), to.constant("u32", perExample)));
  return to.emit({
    op: "random",
    type: "u32",
    bits,
    k0: u32("add", word(0), word(0, site)),
    k1: word(1),
    index: along(strides, start),
    row: words.size > 2 ? u32("add", along(rows, 0), first()) : along(rows, 0),
  });
}

/**
 * Coordinates in `shape` of a row-major position, as bits of it: for products, whose dimensions cannot be cut. Undefined where a dimension
 * but the first is no power of two.
 */
export function coordsByBits(
  to: Emitter,
  position: LinearForm,
  shape: readonly number[],
): readonly LinearForm[] | undefined {
  if (shape.slice(1).some((size) => !Number.isInteger(Math.log2(size)))) return undefined;
  const i32 = (op: "shr" | "and", a: ValueId, b: number): ValueId =>
    to.emit({ op, type: "i32", a, b: to.constant("i32", b) });
  const place = to.emit({ op: "affine", type: "i32", form: position });
  let low = 0;
  const coords = shape.map((_, k) => {
    const d = shape.length - 1 - k;
    const shifted = low === 0 ? place : i32("shr", place, low);
    low += Math.log2(shape[d]!);
    const value = d === 0 ? shifted : i32("and", shifted, shape[d]! - 1);
    return { offset: 0, strides: [], dynamic: [{ value, stride: 1 }] };
  });
  return coords.toReversed();
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
