/** Turns a base into what a method trains: which weights move, which stay, and what that amounts to. */
import { join } from "node:path";
import { directory, savePretrained, type PretrainedModel } from "@lowrank/models";
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
import type { AdaLoraMethod, AdapterMethod, MethodConfig, ResolvedConfig, TargetOptions } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { ModuleRow, ParameterCounts } from "../store/result.ts";
import type { Base, NamedWeight } from "../bases/base.ts";
import type { ModelKind } from "../bases/kind.ts";
import { headOf } from "../bases/base.ts";
import { shapeModel, type BasePlan } from "../bases/plan.ts";
import { precisionPolicy } from "../bases/storage.ts";
import { moduleRows } from "./module-rows.ts";

export interface AdaptedBase {
  readonly base: Base;
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
export async function adaptBase(
  base: Base,
  method: MethodConfig,
  seed: number,
  totalSteps: number,
): Promise<AdaptedBase> {
  const { model, device, kind } = base;
  base.precision = precisionPolicy(method.precision);
  if (method.gradientCheckpointing) gradientCheckpointing(model);
  if (method.method === "full") return describe(base, [], saveCheckpoint(base));
  if (method.method === "head") {
    model.freeze();
    model.unfreeze(method.modules);
    return describe(base, [], saveCheckpoint(base));
  }
  const adapter = await adapt(model, peftOptions(model, kind, method, totalSteps), {
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
    ...describe(base, moduleRows(adapter.table), save, adapter),
    ...(allocator === undefined ? {} : { allocator }),
  };
}

function saveCheckpoint({ model }: Base): AdaptedBase["save"] {
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
export function requireAttachable(plan: BasePlan, kind: ModelKind, method: MethodConfig): void {
  if (method.method === "full" || method.method === "head") return;
  // steps are known with the data only: the shortest schedule stands for all
  const shortest = method.method === "adalora" ? { ...method, tinit: 0, tfinal: 0, deltaT: 1 } : method;
  const model = shapeModel(plan);
  attach(model, peftOptions(model, kind, shortest, 1));
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
function peftOptions(
  model: PretrainedModel,
  kind: ModelKind,
  method: AdapterMethod,
  totalSteps: number,
): AdapterOptions {
  const common = commonOptions(method, kind, headOf(model, kind));
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
  kind: ModelKind,
  head: readonly string[],
): Pick<OptionsOf<AdapterConfig>, "targetModules" | "modulesToSave" | "taskType"> {
  // with the task's type PEFT trains the head by itself
  const trained = head.length > 0 && head.every((name) => modulesToSave.includes(name));
  return {
    targetModules: target,
    modulesToSave: trained ? modulesToSave.filter((name) => !head.includes(name)) : modulesToSave,
    taskType: trained && kind !== "MASKED_LM" ? kind : undefined,
  };
}

function describe(
  base: Base,
  modules: readonly ModuleRow[],
  save: AdaptedBase["save"],
  adapter?: Adapter,
): AdaptedBase {
  const weights = base.weights();
  const trainable = weights.filter(({ weight }) => weight.trainable);
  const { total, percent, trainable: trained, effective } = parameterReport(base.model);
  return {
    base,
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
