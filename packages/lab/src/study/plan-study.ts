/** Which runs a study has, and which of them are already done in a store. */
import { plannedRuns, resolvedConfigs } from "../config/cells.ts";
import { checkPart, inPart, type StudyPart } from "../config/part.ts";
import type { ResolvedConfig, Study } from "../config/study.ts";
import { canonicalJson } from "../config/canonical.ts";
import { LowrankError } from "@lowrank/tensor";
import { planOf, shapeModel } from "../bases/plan.ts";
import { shapeOf } from "../bases/shape.ts";
import { InputError } from "../errors.ts";
import { runId, runName, studyCellId } from "../store/identity.ts";
import type { RunResult } from "../store/result.ts";
import type { RunStore } from "../store/run-store.ts";
import type { TaskEnvironment } from "../records/task.ts";
import { dataIdentity, identityOfBase, taskOf } from "../tasks/prepare.ts";
import type { RunRequest } from "../train/request.ts";
import { methods } from "../methods/registry.ts";
import { requireBaseMemory, requireMemory, requireTrainingMemory } from "./needs.ts";

export interface StudyRun extends RunRequest {
  /** Result that is already there. */
  readonly done: RunResult | undefined;
}

export interface PlanOptions {
  readonly environment: TaskEnvironment;
  readonly code: string;
  /** Kind of device, for instance "wasm". */
  readonly device: string;
  /** A finished run of the same cell by other code counts as done. */
  readonly reuse: boolean;
  /** Which runs; the usual is all. */
  readonly part?: StudyPart;
}

/** The runs of the study in execution order. Throws InputError for a config that cannot fit its base, before anything is written. */
export async function planStudy(study: Study, store: RunStore, options: PlanOptions): Promise<StudyRun[]> {
  const known = options.reuse
    ? new Map(store.all().map((result) => [result.cell, result]))
    : new Map<string, RunResult>();
  const { part = {} } = options;
  checkPart(study, part);
  const configs = resolvedConfigs(study);
  for (const config of configs) await checkConfig(config, options.device);
  const base = await identityOfBase(configs[0]!);
  const identities = new Map<string, string>();
  for (const config of configs) {
    const of = taskKey(config);
    if (!identities.has(of)) identities.set(of, await dataIdentity(config, options.environment, base));
  }
  const planned = plannedRuns(study).filter(({ config }) => inPart(config, part));
  return planned.map(({ config, seed }) => {
    const data = identities.get(taskKey(config))!;
    const identity = { config, seed, data, code: options.code, device: options.device };
    const id = runId(identity);
    const cell = studyCellId(identity);
    const name = runName(identity, id);
    const done = store.finished(name) ?? known.get(cell);
    if (done !== undefined && (done.seed !== seed || done.cell !== cell))
      throw new InputError(
        `${store.path(done.name)}: says seed ${done.seed} and another cell than its name; move the folder away or delete it, and the run is made again`,
      );
    return { id, cell, name, study: study.name, config, seed, done };
  });
}

/** All configs of a study have one base: the task tells what their runs read. */
function taskKey({ task }: ResolvedConfig): string {
  return canonicalJson(task);
}

/** Memory, targets, patterns, module names and ranks against the base's layers. */
async function checkConfig(config: ResolvedConfig, device: string): Promise<void> {
  const { train, method: options } = config;
  const method = methods.get(options.method);
  const task = taskOf(config);
  const where = `config "${config.name}"${config.taskLabel === undefined ? "" : ` with task "${config.taskLabel}"`}`;
  const least = task.least(config.task);
  const plan = await planOf(config, task.kind, least);
  try {
    const shape = shapeOf(shapeModel(plan), task.kind);
    requireBaseMemory(shape, options.storage, device);
    if (least.data !== undefined) requireMemory(least.data.bytes, device, least.data.what);
    requireTrainingMemory(
      method.predict(shape, options),
      shape,
      { rows: train.batchSize, length: Math.max(least.positions, SHORTEST) },
      options.storage,
      device,
    );
    method.attach?.(shapeModel(plan), task.kind, options);
  } catch (error) {
    throw error instanceof LowrankError && error.kind === "input"
      ? new InputError(`${where}: ${error.message}`, { cause: error })
      : error;
  }
}

/** Batches of texts are padded to a multiple of this. */
const SHORTEST = 8;
