/**
 * Parts of a whole, each computed where it lies in it: what a kernel stores as a part is stored in the whole's buffer, so that putting
 * them together is no kernel at all. A whole of one part is that part in memory, which kernels before and after it do not reach across.
 *
 *   w [4, 2] = (a · x, b · y), each [2, 2]      a · x at bytes 0 … 15 of w, b · y at 16 … 31; readers of w wait for both
 */
import { bytesOf } from "../dtype.ts";
import { invariant } from "../errors.ts";
import type { ScheduleNode } from "./graph.ts";
import { labelOf, type KernelDraft } from "./lower.ts";

/** A draft without kernels, which stands for the parts to whoever reads the whole. */
export function lowerAssemble(root: ScheduleNode): KernelDraft {
  return {
    root,
    kind: "assemble",
    label: labelOf(root),
    writes: [root],
    reads: new Set(root.inputs),
    readsOnlyAt: () => false,
    refused: new Set(),
    tooTall: false,
    waits: new Set(),
    coversAll: true,
    finish: () => [],
  };
}

/** Where a part lies. */
export interface PartOf {
  readonly whole: ScheduleNode;
  /** Bytes of the whole before it. */
  readonly offset: number;
}

/** @param alignment of every offset, in bytes */
export function placeParts(drafts: readonly KernelDraft[], alignment: number): Map<unknown, PartOf> {
  const placed = new Map<unknown, PartOf>();
  for (const { kind, root } of drafts) {
    if (kind !== "assemble") continue;
    let offset = 0;
    for (const part of root.inputs) {
      invariant(offset % alignment === 0, "a part begins where no buffer can");
      placed.set(part, { whole: root, offset });
      offset += part.size * bytesOf(part.dtype);
    }
  }
  return placed;
}
