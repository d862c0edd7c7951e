/** Counting parameters as PEFT counts them. Works on models without memory. */
import type { Module } from "@lowrank/nn";
import type { TargetRow } from "./methods/method.ts";

export interface ParameterReport {
  readonly trainable: number;
  /** What the adapter can really use: kept ranks only, once an allocator masks some. Equal to `trainable` for fixed ranks. */
  readonly effective: number;
  /** Base, adapters, and saved modules both as original and as copy. */
  readonly total: number;
  /** 100 · trainable / total. */
  readonly percent: number;
  readonly table: readonly TargetRow[];
  /** What the configuration says and nothing comes of; see `Adapter.warnings`. */
  readonly warnings: readonly string[];
}

/** @param masks ranks that are kept, by module path; modules that are not named keep all of theirs */
export function parameterReport(
  model: Module,
  table: readonly TargetRow[] = [],
  masks: ReadonlyMap<string, readonly boolean[]> = new Map(),
): ParameterReport {
  let [trainable, total] = [0, 0];
  for (const weight of new Set(model.weights())) {
    total += weight.size;
    if (weight.trainable) trainable += weight.size;
  }
  // a lost rank is a row of A, a column of B and an element of E
  const lost = table.map(
    ({ module, inFeatures, outFeatures }) =>
      (masks.get(module) ?? []).filter((kept) => !kept).length * (inFeatures + outFeatures + 1),
  );
  return {
    trainable,
    effective: lost.reduce((rest, n) => rest - n, trainable),
    total,
    percent: (100 * trainable) / total,
    table,
    warnings: [],
  };
}
