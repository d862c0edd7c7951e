/** Turns a base into what a method trains: which weights move, which stay, and what that amounts to. */
import { join } from "node:path";
import {
  BertForSequenceClassification,
  directory,
  savePretrained,
  type BertConfig,
  type PretrainedModel,
} from "@lowrank/models";
import { gradientCheckpointing } from "@lowrank/nn";
import {
  adaLora,
  adaLoraConfig,
  adapt,
  attach,
  BudgetSchedule,
  magnitudeBudget,
  parameterReport,
  resizeAdapter,
  saveAdapter,
  tripletsOf,
  type AdaptiveMethod,
  type AllocationRecord,
  type OptionsOf,
  type Adapter,
  type AdapterConfig,
  type AdapterOptions,
} from "@lowrank/peft";
import { LowrankError, serialize, topSvd, type StoredTensor } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import type { AdaLoraMethod, AdapterMethod, MethodConfig, TargetOptions } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { ModuleRow, ParameterCounts } from "../store/result.ts";
import type { Classifier, NamedWeight } from "./classifier.ts";
import { moduleRows } from "./module-rows.ts";
import { precisionPolicy } from "./storage.ts";

export interface AdaptedClassifier {
  readonly classifier: Classifier;
  readonly trainable: readonly NamedWeight[];
  readonly frozen: readonly NamedWeight[];
  readonly modules: readonly ModuleRow[];
  readonly counts: ParameterCounts;
  /** Decides ranks while training; absent where ranks are fixed. */
  readonly allocator?: AdaptiveMethod;
  /** Writes `adapter/` in PEFT form, or `checkpoint/` in Hugging Face form. Ranks that an allocation did not keep are cut off first, for good. */
  save(folder: string, allocation?: AllocationRecord): Promise<void>;
  /** Singular values of each module's update of low rank, as many as it has ranks, largest first; none without such. */
  spectra(): Promise<ReadonlyMap<string, Float64Array>>;
  /** The trainable weights as a safetensors file. */
  trainableBytes(): Promise<Uint8Array>;
}

/**
 * @param seed root seed of the run; adapters start from its `init` stream
 * @param totalSteps optimizer steps of the run, which rank schedules are made for
 */
export async function adaptClassifier(
  classifier: Classifier,
  method: MethodConfig,
  seed: number,
  totalSteps: number,
): Promise<AdaptedClassifier> {
  const { model, device } = classifier;
  classifier.precision = precisionPolicy(method.precision);
  if (method.gradientCheckpointing) gradientCheckpointing(model);
  if (method.method === "full") return describe(classifier, [], saveCheckpoint(classifier));
  if (method.method === "head") {
    model.freeze();
    model.unfreeze(method.modules);
    return describe(classifier, [], saveCheckpoint(classifier));
  }
  const adapter = await adapt(model, peftOptions(model, method, totalSteps), {
    device,
    seed: deriveSeed(seed, "init"),
  });
  const allocator = method.method === "adalora" ? allocatorOf(adapter, method, totalSteps) : undefined;
  const save = async (folder: string, allocation?: AllocationRecord): Promise<void> => {
    if (allocation !== undefined)
      await resizeAdapter(adapter, new Map(allocation.modules.map(({ module, mask }) => [module, mask])));
    await saveAdapter(adapter, directory(join(folder, "adapter")));
  };
  return {
    ...describe(classifier, moduleRows(adapter.table), save, adapter),
    ...(allocator === undefined ? {} : { allocator }),
  };
}

function saveCheckpoint({ model }: Classifier): AdaptedClassifier["save"] {
  return (folder) => savePretrained(model, join(folder, "checkpoint"));
}

/** AdaLoRA's config in PEFT's words. @throws LowrankError for a schedule that does not fit the steps */
function adaLoraSchedule(
  { initR, targetR, tinit, tfinal, deltaT, beta1, beta2, orthRegWeight }: AdaLoraMethod,
  totalStep: number,
): ReturnType<typeof adaLoraConfig> {
  return adaLoraConfig({ initR, targetR, totalStep, tinit, tfinal, deltaT, beta1, beta2, orthRegWeight });
}

/** Attaches the method's adapter to the base's shapes. @throws LowrankError naming what the base cannot have: a rank above a module's width */
export function requireAttachable(base: BertConfig, method: MethodConfig): void {
  if (method.method === "full" || method.method === "head") return;
  // steps are known with the data only: the shortest schedule stands for all
  const shortest = method.method === "adalora" ? { ...method, tinit: 0, tfinal: 0, deltaT: 1 } : method;
  const model = new BertForSequenceClassification(base);
  attach(model, peftOptions(model, shortest, 1));
}

/** Throws InputError for a rank schedule that does not fit the run's steps. */
export function checkSchedule({ name, method }: Pick<ResolvedConfig, "name" | "method">, totalSteps: number): void {
  if (method.method !== "adalora") return;
  try {
    const { tinit, tfinal, deltaT } = adaLoraSchedule(method, totalSteps);
    new BudgetSchedule({ totalSteps, tinit, tfinal, deltaT });
  } catch (error) {
    throw error instanceof LowrankError && error.kind === "input"
      ? new InputError(`config "${name}": ${error.message}`, { cause: error })
      : error;
  }
}

/** What decides ranks while training, where something does. */
function allocatorOf(adapter: Adapter, method: AdaLoraMethod, totalSteps: number): AdaptiveMethod | undefined {
  const { targetR, tinit, tfinal, deltaT, beta1, beta2, orthRegWeight, compat } = method;
  const budget = { totalSteps, targetRank: targetR, compat, tinit, tfinal, deltaT };
  const sensitivity = (): AdaptiveMethod => adaLora(tripletsOf(adapter), { ...budget, beta1, beta2, orthRegWeight });
  return {
    true: sensitivity,
    sensitivity,
    magnitude: () => magnitudeBudget(tripletsOf(adapter), budget),
    false: undefined,
  }[`${method.allocator}`]?.();
}

async function spectraOf(adapter: Adapter): Promise<Map<string, Float64Array>> {
  const spectra = new Map<string, Float64Array>();
  for (const [path, { lowRank }] of adapter.updates) {
    if (lowRank === undefined) continue;
    const delta = lowRank.delta();
    const [out, inner] = delta.shape as [number, number];
    spectra.set(path, topSvd(await delta.floats(), out, inner, Math.min(lowRank.rank, out, inner)).s);
  }
  return spectra;
}

/** The study's words in PEFT's. */
function peftOptions({ family }: PretrainedModel, method: AdapterMethod, totalSteps: number): AdapterOptions {
  const common = commonOptions(method, family.heads["SEQ_CLS"] ?? []);
  switch (method.method) {
    case "lora": {
      const { r, alpha, dropout, exclude, rankPattern, alphaPattern, rsLora, dora } = method;
      return { ...common, r, alpha, dropout, excludeModules: exclude, rankPattern, alphaPattern, rsLora, dora };
    }
    case "adalora": {
      const { alpha, dropout, exclude } = method;
      return { ...common, alpha, dropout, excludeModules: exclude, adaLora: adaLoraSchedule(method, totalSteps) };
    }
    case "ia3": {
      const { exclude, feedforward } = method;
      return { ...common, method: "ia3", excludeModules: exclude, feedforwardModules: feedforward };
    }
    case "vera": {
      const { r, dropout, dInitial, projectionPrngKey, saveProjection } = method;
      return { ...common, method: "vera", r, dropout, dInitial, projectionPrngKey, saveProjection };
    }
  }
}

/** @param head modules of the head that the task trains */
function commonOptions(
  { target, modulesToSave }: TargetOptions,
  head: readonly string[],
): Pick<OptionsOf<AdapterConfig>, "targetModules" | "modulesToSave" | "taskType"> {
  // with the task's type PEFT trains the head by itself
  const trained = head.length > 0 && head.every((name) => modulesToSave.includes(name));
  return {
    targetModules: target,
    modulesToSave: trained ? modulesToSave.filter((name) => !head.includes(name)) : modulesToSave,
    taskType: trained ? "SEQ_CLS" : undefined,
  };
}

function describe(
  classifier: Classifier,
  modules: readonly ModuleRow[],
  save: AdaptedClassifier["save"],
  adapter?: Adapter,
): AdaptedClassifier {
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
    spectra: async () => (adapter === undefined ? new Map() : spectraOf(adapter)),
    async trainableBytes() {
      const entries = new Map<string, StoredTensor>();
      for (const { name, weight } of trainable)
        entries.set(name, { dtype: weight.parameter.dtype, shape: weight.shape, data: await weight.parameter.data() });
      return serialize(entries);
    },
  };
}
