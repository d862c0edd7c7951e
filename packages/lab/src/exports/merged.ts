/** Working an adapter into its base, and what that cost. */
import type { WrittenFloat } from "@lowrank/quant";
import type { Weight } from "@lowrank/nn";
import { toMemory } from "@lowrank/tensor";
import type { Opened } from "./opened.ts";

/** Errors of what was stored beside what was computed, of all modules the largest. */
export interface Cost {
  readonly modules: number;
  /** Of one number. */
  readonly largest: number;
  /** Of a weight as a whole, ‖stored − exact‖ / ‖exact‖. */
  readonly relative: number;
  /** Where the latter is. */
  readonly worst: string | null;
  /** Forms that weights were quantized to again. */
  readonly forms: readonly string[];
}

/** @param narrow dtype of what was quantized and is plain numbers afterwards; undefined where merged weights are quantized again */
export async function merge({ model, adapter }: Opened, narrow: WrittenFloat | undefined): Promise<Cost | undefined> {
  if (adapter === undefined) return undefined;
  const quantized = new Set<Weight>([...model.weights()].filter(({ form }) => form !== undefined));
  const into = narrow === undefined ? "quantized" : "dequantized";
  const reports = await adapter.mergeAndUnload(
    quantized.size > 0 ? { into, safe: narrow !== undefined } : { safe: true },
  );
  const rounded = narrow === undefined ? 0 : await narrowed(quantized, narrow);
  const worst = reports.reduce<(typeof reports)[number] | undefined>(
    (most, one) => (most === undefined || one.relative > most.relative ? one : most),
    undefined,
  );
  return {
    modules: reports.length,
    largest: Math.max(rounded, ...reports.map(({ rounding }) => rounding)),
    relative: worst?.relative ?? 0,
    worst: worst?.module ?? null,
    forms: [...new Set(reports.flatMap(({ form }) => form ?? []))],
  };
}

/** Those of the weights that are plain numbers, in another dtype. Returns the largest change. */
export async function narrowed(weights: ReadonlySet<Weight>, dtype: WrittenFloat): Promise<number> {
  let largest = 0;
  for (const weight of weights) {
    if (weight.form !== undefined || !weight.materialized || weight.parameter.dtype === dtype) continue;
    const { parameter } = weight;
    const data = await parameter.data();
    const stored = toMemory(dtype, data, parameter.dtype);
    const back = toMemory("f32", stored, dtype);
    const wide = toMemory("f32", data, parameter.dtype);
    for (let i = 0; i < wide.length; i++) largest = Math.max(largest, Math.abs(wide[i]! - back[i]!));
    weight.parameter = parameter.device.parameter(stored, weight.shape, dtype, dtype);
    parameter.dispose();
  }
  return largest;
}
