/** How a run begins: a base as the config keeps it, the method on it, and proof that both are what the config says. */
import { join } from "node:path";
import { savePretrained } from "@lowrank/models";
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import type { Base } from "../bases/base.ts";
import { dropoutsOf } from "../bases/dropout.ts";
import { shapeOf } from "../bases/shape.ts";
import { baseStorage, isQuantized } from "../bases/storage.ts";
import { asInput, InputError } from "../errors.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { Proof } from "../store/result.ts";
import { BASE } from "../store/run-store.ts";
import { adaptBase, type AdaptedBase } from "./adapt.ts";
import { baseDropoutProof, quantizationProof } from "./numerics-proofs.ts";
import { probe, probeFullBase } from "./probe.ts";
import { demand, moduleTableProof, parameterCountProof } from "./proofs.ts";
import type { RunRequest, RunSurroundings } from "./request.ts";
import { totalSteps } from "./rate.ts";
import type { Workload } from "./train.ts";

/** The base of a run, and what it computed at full width where it is kept in fewer bits. */
export interface OpenedBase {
  readonly base: Base;
  readonly fullLogits: Float64Array | undefined;
}

/** Opens the base; one that is drawn is written into the run's folder where an adapter will need it. */
export async function openBase(
  { config, seed }: RunRequest,
  { task, data, method }: Workload,
  { folder, once }: Pick<RunSurroundings, "folder" | "once">,
): Promise<OpenedBase> {
  const options = config.method;
  const initSeed = deriveSeed(seed, "init");
  // a base that is drawn is nowhere else: it is kept beside the adapter, at full width where the run has it in fewer bits
  const keepsBase = config.base === null && method.leaves === "adapter";
  const keep = async ({ model }: Base): Promise<void> =>
    keepsBase ? savePretrained(model, join(folder.path, BASE)) : undefined;
  const fullLogits = isQuantized(options.storage) ? await probeFullBase(task, data, initSeed, keep) : undefined;
  const base = await asInput(() => data.base(initSeed, baseStorage(options, method.whole(options))));
  try {
    if (base.fresh.length > 0) once(`not in the checkpoint, drawn from the seed: ${base.fresh.join(", ")}`);
    if (fullLogits === undefined) await keep(base);
    // as the adapter's file names it, which stands in a folder beside it
    if (keepsBase) base.model.origin = `../${BASE}`;
    return { base, fullLogits };
  } catch (error) {
    base.dispose();
    throw error;
  }
}

/** Puts the method on the base and compares what is there with what the config promises. */
export async function adaptAndProve(
  { config, seed }: RunRequest,
  { task, data, method, initial }: Workload,
  { base, fullLogits }: OpenedBase,
  { folder }: Pick<RunSurroundings, "folder">,
): Promise<{ readonly adapted: AdaptedBase; readonly proofs: readonly Proof[] }> {
  const options = config.method;
  const shape = shapeOf(base.model, task.kind);
  const quantization = await quantizationProof(
    base,
    options,
    fullLogits,
    fullLogits === undefined ? undefined : await probe(base, task, data),
  );
  const places = dropoutsOf(base.model);
  const adapted = await asInput(() =>
    adaptBase(base, method, options, { seed, totalSteps: totalSteps(config, data), data, task }),
  );
  if (initial !== undefined) beginWith(adapted, initial);
  const predicted = method.predict(shape, adapted.settled ?? options);
  const proofs = [
    moduleTableProof(adapted.modules, predicted),
    parameterCountProof(adapted.counts, adapted.trainable, predicted),
    quantization,
    ...baseDropoutProof(places, options),
    ...(adapted.proofs ?? []),
  ];
  folder.event("adapted", { fresh: base.fresh, modules: adapted.modules, counts: adapted.counts, proofs });
  demand(proofs);
  return { adapted, proofs };
}

/** @throws InputError for a name that does not train, or a number of values that it has not */
function beginWith({ base, trainable }: AdaptedBase, initial: ReadonlyMap<string, ArrayLike<number>>): void {
  const weights = new Map(trainable.map(({ name, weight }) => [name, weight]));
  for (const [name, values] of initial) {
    const weight = weights.get(name);
    if (weight?.size !== values.length)
      throw new InputError(
        weight === undefined
          ? `initial values of ${quote(name)}: no weight of this name trains${suggestion(name, [...weights.keys()])}`
          : `initial values of ${quote(name)}: ${values.length} for the ${weight.size} that it has`,
      );
    base.write(weight, Float32Array.from(values));
  }
}
