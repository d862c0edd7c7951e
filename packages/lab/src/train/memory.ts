/** Bytes of a run's weights, and what its process's peak is told from. */
import type { ResolvedConfig } from "../config/load.ts";
import type { PlannedMemory } from "../study/peak-rss.ts";
import type { AdaptedClassifier } from "./adapt.ts";
import type { NamedWeight } from "./classifier.ts";
import { isQuantized } from "./storage.ts";

/** What the process's peak is told from: for a run that was made, and for one that is planned. */
export function plannedMemory(
  adapted: AdaptedClassifier,
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
