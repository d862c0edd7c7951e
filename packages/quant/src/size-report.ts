/** Bytes of each weight as it is kept now, and of the whole. */
import type { Module, Weight } from "@lowrank/nn";

export interface WeightSize {
  readonly name: string;
  /** "nf4", "fp4", "int8", or the dtype. */
  readonly kind: string;
  readonly elements: number;
  readonly bytes: number;
}

export interface SizeReport {
  readonly weights: readonly WeightSize[];
  readonly bytes: number;
  /** Sums over weights of one kind. */
  readonly kinds: ReadonlyMap<
    string,
    { readonly weights: number; readonly elements: number; readonly bytes: number; readonly bitsPerElement: number }
  >;
}

/** @param model with memory; a weight with two names counts once, under the first */
export function sizeReport(model: Module): SizeReport {
  const seen = new Set<Weight>();
  const weights: WeightSize[] = [];
  for (const [name, weight] of model.namedWeights()) {
    if (seen.has(weight)) continue;
    seen.add(weight);
    weights.push({
      name,
      kind: weight.form?.kind ?? weight.parameter.dtype,
      elements: weight.size,
      bytes: weight.bytes,
    });
  }
  const kinds = new Map<string, { weights: number; elements: number; bytes: number; bitsPerElement: number }>();
  for (const { kind, elements, bytes } of weights) {
    const sum = kinds.get(kind) ?? { weights: 0, elements: 0, bytes: 0, bitsPerElement: 0 };
    const total = { weights: sum.weights + 1, elements: sum.elements + elements, bytes: sum.bytes + bytes };
    kinds.set(kind, { ...total, bitsPerElement: (8 * total.bytes) / total.elements });
  }
  return { weights, bytes: weights.reduce((sum, w) => sum + w.bytes, 0), kinds };
}
