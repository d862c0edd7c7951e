/** Where an element of a view is in what the view is of, for views that only move coordinates. */
import type { ScheduleNode } from "./graph.ts";
import { scaleForm, ZERO, type LinearForm } from "./linear-form.ts";

export function coordsBehind(
  node: ScheduleNode,
  view: "permute" | "expand" | "slice",
  coords: readonly LinearForm[],
): LinearForm[] {
  if (view === "permute") {
    const dims = node.attrs["dims"] as number[];
    return dims.map((_, d) => coords[dims.indexOf(d)]!);
  }
  if (view === "expand") return node.inputs[0]!.shape.map((s, d) => (s === 1 ? ZERO : coords[d]!));
  const starts = node.attrs["starts"] as number[];
  const steps = node.attrs["steps"] as number[];
  return coords.map((c, d) => scaleForm(c, steps[d]!, starts[d]!));
}

/** Reshapes that only add or drop dimensions of 1 keep every coordinate as it is, dynamic ones too. */
export function regroup(
  from: readonly number[],
  to: readonly number[],
  coords: readonly LinearForm[],
): LinearForm[] | undefined {
  const real = from.flatMap((s, d) => (s === 1 ? [] : [d]));
  const target = to.filter((s) => s !== 1);
  if (real.length !== target.length || real.some((d, i) => from[d] !== target[i])) return undefined;
  let next = 0;
  return to.map((s) => (s === 1 ? ZERO : coords[real[next++]!]!));
}
