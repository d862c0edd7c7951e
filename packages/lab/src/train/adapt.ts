/** Turns a base into what a method trains: which weights move, which stay, and what that amounts to. */
import { gradientCheckpointing } from "@lowrank/nn";
import { parameterReport, type Adapter, type AdaptiveMethod } from "@lowrank/peft";
import { LowrankError, serialize, topSvd, type StoredTensor } from "@lowrank/tensor";
import type { Base, NamedWeight } from "../bases/base.ts";
import { setDropout } from "../bases/dropout.ts";
import { precisionPolicy } from "../bases/storage.ts";
import type { MethodConfig, ResolvedConfig } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { moduleRows } from "../bases/module-rows.ts";
import type { AdaptContext, Adaptation, Method } from "../records/method.ts";
import type { ModuleRow, ParameterCounts } from "../store/result.ts";

export interface AdaptedBase {
  readonly base: Base;
  readonly trainable: readonly NamedWeight[];
  readonly frozen: readonly NamedWeight[];
  readonly modules: readonly ModuleRow[];
  readonly counts: ParameterCounts;
  /** Decides ranks while training; absent where ranks are fixed. */
  readonly allocator?: AdaptiveMethod;
  /** Gradients that it sees, where the config says so; else it chooses. */
  readonly allocatorSees?: Adaptation["allocatorSees"];
  /** What the training loss holds beside the loss where there is no allocator. */
  readonly regularizer?: Adaptation["regularizer"];
  readonly settled?: Adaptation["settled"];
  readonly proofs?: Adaptation["proofs"];
  /** Weights that learn at another rate than the config's. */
  readonly lrScales?: Adaptation["lrScales"];
  /** Absent where weights of the base themselves train. */
  readonly adapter?: Adapter;
  /** Writes files in PEFT form, or in Hugging Face form. */
  readonly save: Adaptation["save"];
  /** Singular values of each module's update of low rank, as many as it has ranks, largest first; none without such. */
  spectra(): Promise<ReadonlyMap<string, Float64Array>>;
  /** The trainable weights as a safetensors file. */
  trainableBytes(): Promise<Uint8Array>;
}

export async function adaptBase(
  base: Base,
  method: Method,
  options: MethodConfig,
  context: AdaptContext,
): Promise<AdaptedBase> {
  base.precision = precisionPolicy(options.precision);
  // before the method adds places of its own
  setDropout(base.model, options.baseDropout);
  if (options.gradientCheckpointing) gradientCheckpointing(base.model);
  const { adapter, allocator, allocatorSees, regularizer, lrScales, settled, proofs, save } = await method.adapt(
    base,
    options,
    context,
  );
  const weights = base.weights();
  const trainable = weights.filter(({ weight }) => weight.trainable);
  const { total, percent, trainable: trained, effective } = parameterReport(base.model);
  return {
    base,
    trainable,
    frozen: weights.filter(({ weight }) => !weight.trainable),
    modules: adapter === undefined ? [] : moduleRows(adapter.table),
    counts: { trainable: trained, effective, total, percent },
    save,
    ...(adapter === undefined ? {} : { adapter }),
    ...(allocator === undefined ? {} : { allocator }),
    ...(allocatorSees === undefined ? {} : { allocatorSees }),
    ...(regularizer === undefined ? {} : { regularizer }),
    ...(lrScales === undefined ? {} : { lrScales }),
    ...(settled === undefined ? {} : { settled }),
    ...(proofs === undefined ? {} : { proofs }),
    spectra: async () => (adapter === undefined ? new Map() : spectraOf(adapter)),
    async trainableBytes() {
      const entries = new Map<string, StoredTensor>();
      for (const { name, weight } of trainable)
        entries.set(name, { dtype: weight.parameter.dtype, shape: weight.shape, data: await weight.parameter.data() });
      return serialize(entries);
    },
  };
}

/** Throws InputError for a schedule that does not fit the run's steps. */
export function checkSteps(
  { checkSteps: check }: Pick<Method, "checkSteps">,
  { name, method }: Pick<ResolvedConfig, "name" | "method">,
  totalSteps: number,
): void {
  try {
    check?.(method, totalSteps);
  } catch (error) {
    throw error instanceof LowrankError && error.kind === "input"
      ? new InputError(`config "${name}": ${error.message}`, { cause: error })
      : error;
  }
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
