/** Values found where an index says: rows of a table, a block that was put at a position. */
import { valueTypeOf, type ValueId } from "../ir/kernel.ts";
import type { Puller } from "./by-position.ts";
import type { DraftGuard } from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";
import { addForms, type LinearForm } from "./linear-form.ts";

/** NaN, or 0, where the index is outside. */
export function gathered(
  to: Puller,
  node: ScheduleNode,
  coords: readonly LinearForm[],
  guards: readonly DraftGuard[],
): ValueId {
  const [table, ids] = node.inputs as [ScheduleNode, ScheduleNode];
  const id = to.value(ids, coords.slice(0, ids.shape.length), guards);
  const row: LinearForm = { offset: 0, strides: [], dynamic: [{ value: id, stride: 1 }] };
  const inRange = { form: row, size: table.shape[0]! };
  const found = to.value(table, [row, ...coords.slice(ids.shape.length)], [...guards, inRange]);
  const type = valueTypeOf(node.dtype);
  const missing = to.constant(type, type === "f32" ? NaN : 0);
  return to.emit({
    op: "select",
    type,
    cond: to.emit({ op: "inbounds", type: "bool", guards: [inRange] }),
    a: found,
    b: missing,
  });
}

/** Anywhere but in the place of x: each element is one of the block's where it lies in that, and the block in x. */
export function updated(
  to: Puller,
  node: ScheduleNode,
  coords: readonly LinearForm[],
  guards: readonly DraftGuard[],
): ValueId {
  const [x, block, at] = node.inputs as [ScheduleNode, ScheduleNode, ScheduleNode];
  const dim = node.attrs["dim"] as number;
  const [size, length] = [x.shape[dim]!, block.shape[dim]!];
  const place = to.value(at, []);
  const from = (stride: number): LinearForm => ({ offset: 0, strides: [], dynamic: [{ value: place, stride }] });
  const within = addForms(coords[dim]!, from(-1));
  const inside = [
    { form: within, size: length },
    { form: from(1), size: size - length + 1 },
  ];
  return to.emit({
    op: "select",
    type: valueTypeOf(node.dtype),
    cond: to.emit({ op: "inbounds", type: "bool", guards: inside }),
    a: to.value(block, coords.with(dim, within), [...guards, ...inside]),
    b: to.value(x, coords, guards),
  });
}
