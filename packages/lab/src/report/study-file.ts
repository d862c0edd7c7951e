/** A study file that was given: what it plans and claims, and the words that it begins with. */
import { quote } from "@lowrank/tensor";
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

/** Whether the study plans the run's config with these very settings, for whatever study it was made. */
export function plans(file: StudyFile, run: ReportRun): boolean {
  return departure(file, run) === undefined;
}

/**
 * What the run has otherwise than the study plans, in words. What other runs decide is not compared: a rate that was swept, ranks that were found. An option
 * that is usual is in neither, so that runs made before there was one are still planned.
 */
export function departure({ study }: StudyFile, { config, resolved }: ReportRun): string | undefined {
  const task = tasksOf(study).find(({ label }) => label === resolved.taskLabel);
  const method = study.configs[config];
  if (task === undefined) return `there is no such task`;
  if (method === undefined) return `there is no config ${quote(config)}`;
  const [planned, made] = [flatSettings(resolveConfig(study, config, task)), flatSettings(resolved)];
  const decided = (key: string): boolean =>
    MANNER.has(key) ||
    key.startsWith("method.rate.") ||
    (method.rate !== undefined && key === "train.lr") ||
    (method.from !== undefined && /^method\.(rankPattern|alphaPattern|exclude|r)$/.test(key));
  const [source, from] = [method.from?.config ?? "", resolved.method.from?.config ?? ""];
  if (source !== from) return `ranks are those of ${quote(from)}, in the file of ${quote(source)}`;
  const other = [...planned.keys(), ...made.keys()].find((key) => !decided(key) && made.get(key) !== planned.get(key));
  return other === undefined
    ? undefined
    : `${other} is ${made.get(other) ?? "not set"}, in the file ${planned.get(other) ?? "not set"}`;
}
