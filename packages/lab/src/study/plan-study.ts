/** Which runs a study has, and which of them are already done in a store. */
import type { PlannedRun } from "../config/load.ts";
import { plannedRuns, resolveConfig, type ResolvedConfig } from "../config/load.ts";
import type { Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { runId, runName, studyCellId } from "../store/identity.ts";
import type { RunResult } from "../store/result.ts";
import type { RunStore } from "../store/run-store.ts";
import { dataIdentity } from "../tasks/prepare.ts";
import type { TaskEnvironment } from "../tasks/task.ts";
import { baseSizes } from "../train/classifier.ts";
import { predictParameters } from "../train/predict.ts";
import type { RunRequest } from "../train/run.ts";

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
}

/** All runs of the study in execution order. Throws InputError for a config that cannot fit its base, before anything is written. */
export function planStudy(study: Study, store: RunStore, options: PlanOptions): StudyRun[] {
  const known = options.reuse ? new Map(store.all().map((result) => [result.cell, result])) : new Map<string, RunResult>();
  for (const name of Object.keys(study.configs)) checkConfig(resolveConfig(study, name));
  const identities = new Map<string, string>();
  return plannedRuns(study).map(({ config, seed }: PlannedRun) => {
    const data = identities.get(config.name) ?? dataIdentity(config, options.environment);
    identities.set(config.name, data);
    const identity = { config, seed, data, code: options.code, device: options.device };
    const id = runId(identity);
    const cell = studyCellId(identity);
    const name = runName(identity, id);
    return { id, cell, name, study: study.name, config, seed, done: store.finished(name) ?? known.get(cell) };
  });
}

/** Targets, patterns and module names against the base's layers. Vocabulary and length do not matter here. */
function checkConfig(config: ResolvedConfig): void {
  const sizes = baseSizes(config, { vocab: 1, positions: 1, labels: 2 });
  try {
    predictParameters(sizes, config.method);
  } catch (error) {
    throw error instanceof InputError ? new InputError(`config "${config.name}": ${error.message}`, { cause: error }) : error;
  }
}
