/** Turns a base into what a method trains: which weights move, which stay, and what that amounts to. */
import { join } from "node:path";
import { directory, savePretrained } from "@lowrank/models";
import { adapt, parameterReport, saveAdapter, type LoraConfig } from "@lowrank/peft";
import { serialize, type StoredTensor } from "@lowrank/tensor";
import type { LoraMethod, MethodConfig } from "../config/study.ts";
import { deriveSeed } from "../random/seeds.ts";
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
  const { model, device } = classifier;
  if (method.method === "lora") {
    const adapter = await adapt(model, peftConfig(method), { device, seed: deriveSeed(seed, "init") });
    const rows = adapter.table.map(({ module, inFeatures, outFeatures, rank, scale, parameters }) => ({ module, in: inFeatures, out: outFeatures, rank, scale, parameters }));
    return describe(classifier, rows, (folder) => saveAdapter(adapter, directory(join(folder, "adapter"))));
  }
  if (method.method === "head") {
    model.freeze();
    for (const name of method.modules) model.unfreeze((weight) => `.${weight}.`.includes(`.${name}.`));
  }
  return describe(classifier, [], (folder) => savePretrained(model, join(folder, "checkpoint")));
}

/** The study's words in PEFT's. */
function peftConfig(method: LoraMethod): Partial<LoraConfig> {
  const { r, alpha, dropout, target, exclude, rankPattern, alphaPattern, rsLora, modulesToSave } = method;
  const classifies = modulesToSave.includes("classifier");
  return {
    r,
    alpha,
    dropout,
    targetModules: target,
    excludeModules: exclude,
    rankPattern,
    alphaPattern,
    rsLora,
    modulesToSave: modulesToSave.filter((name) => name !== "classifier"),
    // Sequence classification brings the classifier along, as in PEFT.
    taskType: classifies ? "SEQ_CLS" : undefined,
  };
}

function describe(classifier: Classifier, modules: readonly ModuleRow[], save: (folder: string) => Promise<void>): AdaptedClassifier {
  const weights = classifier.weights();
  const trainable = weights.filter(({ weight }) => weight.trainable);
  const { total, percent, trainable: trained, effective } = parameterReport(classifier.model);
  return {
    classifier,
    trainable,
    frozen: weights.filter(({ weight }) => !weight.trainable),
    modules,
    counts: { trainable: trained, effective, total, percent },
    save,
    async trainableBytes() {
      const entries = new Map<string, StoredTensor>();
      for (const { name, weight } of trainable) entries.set(name, { dtype: weight.parameter.dtype, shape: weight.shape, data: await weight.parameter.data() });
      return serialize(entries);
    },
  };
}
