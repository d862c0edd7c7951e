/**
 * How often one kernel may compute one node. What is read at two places is computed for both, and all that it stands on with it:
 *
 *     vᵢ₊₁[j] = vᵢ[j] + vᵢ[j − 1]        v₁₀ at j   takes v₉ at 2 places, v₈ at 3 or 4, … v₀ at up to 2¹⁰
 *     v₇ stored                          v₁₀ at j   takes v₉ at 2, v₈ at 4 and v₇, which it reads, at 8
 */
import type { ScheduleNode } from "./graph.ts";

/**
 * Most places (coordinates and guards) at which a kernel computes a node in which several computed ones meet. It bounds a kernel by a multiple
 * of its part of the graph. Models and their training steps have at most 3.
 */
export const MOST_PLACES = 8;

/** Counts at how many places a kernel computes each node. */
export class Repeats {
  readonly #places = new Map<ScheduleNode, number>();
  readonly #isRead: (node: ScheduleNode) => boolean;

  /** @param isRead whether the kernel reads a node from memory, or knows it, instead of computing it */
  constructor(isRead: (node: ScheduleNode) => boolean) {
    this.#isRead = isRead;
  }

  /** Counts one place more of `node`. @returns whether that is one too many, so that the node has to be stored */
  exceeds(node: ScheduleNode): boolean {
    // a view has one input and a position none: neither multiplies what is below it
    if (node.lowering.class === "view" || node.lowering.class === "iota" || this.#isRead(node)) return false;
    const places = (this.#places.get(node) ?? 0) + 1;
    this.#places.set(node, places);
    return places > MOST_PLACES && !this.#isRow(node);
  }

  /**
   * Whether what is below `node` is a single row of nodes down to memory, in which nothing is multiplied. It may be far larger than what is
   * taken of it: a converted table of which rows are gathered.
   */
  #isRow(node: ScheduleNode): boolean {
    for (let at = node; ;) {
      // one input twice counts as two: an update by itself reads it at two places
      const computed = at.inputs.filter((input) => !this.#isRead(viewed(input, this.#isRead)));
      if (computed.length !== 1) return computed.length === 0;
      at = computed[0]!;
    }
  }
}

/** What is below the views that `node` is. */
function viewed(node: ScheduleNode, isRead: (node: ScheduleNode) => boolean): ScheduleNode {
  let at = node;
  while (!isRead(at) && at.lowering.class === "view") at = at.inputs[0]!;
  return at;
}
