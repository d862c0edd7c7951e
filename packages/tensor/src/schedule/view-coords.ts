/** Where an element of a view is in what the view is of, for views that only move coordinates. */
import type { ScheduleNode } from "./graph.ts";
import { linearize, scaleForm, ZERO, type LinearForm } from "./linear-form.ts";

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

/** Dimensions on both sides of a reshape that spell the same elements; those of 1 belong to nobody. */
interface Group {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** A reshape as small ones side by side: [6, 4, 5] → [2, 3, 20] is [6] → [2, 3] and [4, 5] → [20]. */
function groupsOf(from: readonly number[], to: readonly number[]): Group[] {
  const real = (shape: readonly number[]): number[] => shape.flatMap((s, d) => (s === 1 ? [] : [d]));
  const [left, right] = [real(from), real(to)];
  const groups: Group[] = [];
  for (let [i, j] = [0, 0]; i < left.length;) {
    const group = { from: [left[i++]!], to: [right[j++]!] };
    let [a, b] = [from[group.from[0]!]!, to[group.to[0]!]!];
    while (a !== b) {
      const d = a < b ? left[i++]! : right[j++]!;
      if (a < b) {
        group.from.push(d);
        a *= from[d]!;
      } else {
        group.to.push(d);
        b *= to[d]!;
      }
    }
    groups.push(group);
  }
  return groups;
}

/**
 * Coordinates behind a reshape, each of the small ones that it is made of by itself: a dimension that stays as it is keeps its coordinate,
 * dynamic or not (the row of a gather), while another is cut.
 * @param inside coordinates in a shape of a row-major position, where these can be had
 */
export function coordsInGroups(
  from: readonly number[],
  to: readonly number[],
  coords: readonly LinearForm[],
  inside: (position: LinearForm, shape: readonly number[]) => readonly LinearForm[] | undefined,
): LinearForm[] | undefined {
  if (from.includes(0)) return undefined;
  const out = to.map(() => ZERO);
  for (const group of groupsOf(from, to)) {
    const position = linearize(
      group.from.map((d) => coords[d]!),
      group.from.map((d) => from[d]!),
    );
    const found =
      group.to.length === 1
        ? [position]
        : inside(
            position,
            group.to.map((d) => to[d]!),
          );
    if (found === undefined) return undefined;
    for (const [k, d] of group.to.entries()) out[d] = found[k]!;
  }
  return out;
}
