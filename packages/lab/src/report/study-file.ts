/** A study file that was given: what it plans and claims, and the words that it begins with. */
import { resolveConfig, tasksOf } from "../config/cells.ts";
import type { Study } from "../config/study.ts";
import type { ReportRun } from "./run.ts";
import { flatSettings } from "./settings-text.ts";

export interface StudyFile {
  readonly study: Study;
  readonly source: string;
  readonly about: string | undefined;
}

/** How numbers are computed, which decides none of them. */
export const MANNER: ReadonlySet<string> = new Set(["train.microBatch", "method.gradientCheckpointing"]);

/**
 * Whether the study plans the run's config with these very settings, for whatever study it was made. What other runs decide (a rate that was swept,
 * ranks that were found) and what only one of the two says is not compared.
 */
export function plans({ study }: StudyFile, { config, resolved }: ReportRun): boolean {
  const task = tasksOf(study).find(({ label }) => label === resolved.taskLabel);
  const method = study.configs[config];
  if (task === undefined || method === undefined) return false;
  const [planned, made] = [flatSettings(resolveConfig(study, config, task)), flatSettings(resolved)];
  const decided = (key: string): boolean =>
    MANNER.has(key) ||
    key.startsWith("method.rate.") ||
    (method.rate !== undefined && key === "train.lr") ||
    (method.from !== undefined && /^method\.(rankPattern|r)$/.test(key));
  return (
    (method.from?.config ?? "") === (resolved.method.from?.config ?? "") &&
    [...planned].every(([key, value]) => decided(key) || !made.has(key) || made.get(key) === value)
  );
}
