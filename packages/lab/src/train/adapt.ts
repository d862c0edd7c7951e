/** Turns a base into what a method trains: which weights move, which stay, and what that amounts to. */
import { join } from "node:path";
import { savePretrained } from "@lowrank/models";
import { serialize, type StoredTensor } from "@lowrank/tensor";
import type { LoraMethod, MethodConfig } from "../config/study.ts";
import type { ModuleRow, ParameterCounts } from "../store/result.ts";
import type { Classifier, NamedWeight } from "./classifier.ts";

export interface AdaptedClassifier {
  readonly classifier: Classifier;
  readonly trainable: readonly NamedWeight[];
  readonly frozen: readonly NamedWeight[];
  readonly modules: readonly ModuleRow[];
  readonly counts: ParameterCounts;
  /** Writes `adapter/` in PEFT form, or `checkpoint/` in Hugging Face form. */
  save(folder: string): Promise<void>;
  /** The trainable weights as a safetensors file. */
  trainableBytes(): Promise<Uint8Array>;
}

/** @param seed root seed of the run; adapters start from its `init` stream */
export async function adaptClassifier(classifier: Classifier, method: MethodConfig, seed: number): Promise<AdaptedClassifier> {
  if (method.method === "full") return describe(classifier, [], (folder) => savePretrained(classifier.model, join(folder, "checkpoint")));
  if (method.method === "head") {
    classifier.model.freeze();
    for (const name of method.modules) classifier.model.unfreeze((weight) => `.${weight}.`.includes(`.${name}.`));
    return describe(classifier, [], (folder) => savePretrained(classifier.model, join(folder, "checkpoint")));
  }
  throw new Error("lora");
}

function describe(classifier: Classifier, modules: readonly ModuleRow[], save: (folder: string) => Promise<void>): AdaptedClassifier {
  const weights = classifier.weights();
  const trainable = weights.filter(({ weight }) => weight.trainable);
  const frozen = weights.filter(({ weight }) => !weight.trainable);
  const size = (some: readonly NamedWeight[]): number => some.reduce((sum, { weight }) => sum + weight.size, 0);
  const [trained, total] = [size(trainable), size(weights)];
  return {
    classifier,
    trainable,
    frozen,
    modules,
    counts: { trainable: trained, effective: trained, total, percent: (100 * trained) / total },
    save,
    async trainableBytes() {
      const entries = new Map<string, StoredTensor>();
      for (const { name, weight } of trainable) entries.set(name, { dtype: weight.parameter.dtype, shape: weight.shape, data: await weight.parameter.data() });
      return serialize(entries);
    },
  };
}
