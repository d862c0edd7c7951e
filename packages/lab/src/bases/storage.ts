/** From the words of a study to how weights are kept and what products compute in. */
import { Projection, type Module, type Weight } from "@lowrank/nn";
import { planQuantization } from "@lowrank/quant";
import { mixedBf16, mixedF16, type PrecisionPolicy } from "@lowrank/tensor";
import type { NumericsOptions, Precision, Storage } from "../config/study.ts";
import type { BaseStorage } from "./base.ts";

/** Of tables beside quantized layers, where nothing is said: they are only looked up in. */
export const TABLES = "f16";

/** @param whole names of modules that train in full: there is nothing to save on what is copied or changes */
export function baseStorage(
  { storage, embeddings = TABLES }: Pick<NumericsOptions, "storage" | "embeddings">,
  whole: readonly string[],
): BaseStorage | undefined {
  if (storage === "f32") return undefined;
  if (storage === "keep")
    return {
      rest: "file",
      // numbers of norms and biases stay what they are at full width; modules that train are read as numbers
      each: (model) => {
        const full = wholeWeights(model, whole);
        return (_name, weight) => (weight.shape.length === 2 && !full.has(weight) ? undefined : "f32");
      },
    };
  if (storage === "f16" || storage === "bf16") {
    return {
      each: (model) => {
        const full = wholeWeights(model, whole);
        // norms and biases are small and add up: they stay in f32
        return (_name, weight) => (weight.shape.length === 2 && !full.has(weight) ? storage : undefined);
      },
    };
  }
  return {
    each: (model) =>
      planQuantization(model, { format: storage, embeddings, exclude: projectionsUnder(model, whole) }).storage,
  };
}

function isUnder(path: string, names: readonly string[]): boolean {
  return names.some((name) => `.${path}.`.includes(`.${name}.`));
}

/** Weights of modules that train in full. */
function wholeWeights(model: Module, whole: readonly string[]): ReadonlySet<Weight> {
  return new Set([...model.namedModules()].flatMap(([path, m]) => (isUnder(path, whole) ? m.weights() : [])));
}

function projectionsUnder(model: Module, names: readonly string[]): string[] {
  return [...model.namedModules()].flatMap(([path, m]) =>
    m instanceof Projection && isUnder(path, names) ? [path] : [],
  );
}

const POLICIES: Readonly<Record<Precision, PrecisionPolicy | undefined>> = {
  f32: undefined,
  "mixed-f16": mixedF16,
  "mixed-bf16": mixedBf16,
};

export function precisionPolicy(precision: Precision): PrecisionPolicy | undefined {
  return POLICIES[precision];
}

/** Kept in four or eight bits. */
export function isQuantized(storage: Storage): boolean {
  return storage === "nf4" || storage === "fp4" || storage === "int8";
}
