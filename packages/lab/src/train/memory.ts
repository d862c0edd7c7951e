/** Bytes of a run's weights, and what its process's peak is told from. */
import type { ResolvedConfig } from "../config/study.ts";
import type { PlannedMemory } from "../study/peak-rss.ts";
import type { AdaptedBase } from "./adapt.ts";
import type { NamedWeight } from "../bases/base.ts";
import { isQuantized } from "../bases/storage.ts";

/** What the process's peak is told from: for a run that was made, and for one that is planned. */
export function plannedMemory(
  adapted: AdaptedBase,
  { method, base }: Pick<ResolvedConfig, "method" | "base">,
  persistentBytes: number,
  plans: PlannedMemory["plans"],
): PlannedMemory {
  const atFullWidth = [...adapted.frozen, ...adapted.trainable].reduce((sum, { weight }) => sum + 4 * weight.size, 0);
  return {
    persistentBytes,
    loadedBytes: isQuantized(method.storage) ? atFullWidth : 0,
    drawn: base === null,
    trainableBytes: weightBytes(adapted.trainable),
    plans,
  };
}

export function weightBytes(weights: readonly NamedWeight[]): number {
  return weights.reduce((sum, { weight }) => sum + weight.bytes, 0);
}
