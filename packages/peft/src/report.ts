/** Counting parameters as PEFT counts them. Works on models without memory. */
import type { Module } from "@lowrank/nn";
import type { TargetRow } from "./select.ts";

export interface ParameterReport {
  readonly trainable: number;
  /** What the adapter can really use: kept ranks only, once an allocator masks some. Equal to `trainable` for fixed ranks. */
  readonly effective: number;
  /** Base, adapters, and saved modules both as original and as copy. */
  readonly total: number;
  /** 100 · trainable / total. */
  readonly percent: number;
  readonly table: readonly TargetRow[];
}

export function parameterReport(model: Module, table: readonly TargetRow[] = []): ParameterReport {
  const weights = new Set(model.weights());
  let trainable = 0;
  let total = 0;
  for (const w of weights) {
    total += w.size;
    if (w.trainable) trainable += w.size;
  }
  return { trainable, effective: trainable, total, percent: (100 * trainable) / total, table };
}
