/** Cells of studies that there is no run of. */
import { resolvedConfigs } from "../../config/cells.ts";
import type { Study } from "../../config/study.ts";
import { taskLabel } from "../../store/by-task.ts";
import type { ReportRun } from "../run.ts";

export interface MissingRuns {
  readonly planned: number;
  /** `b-ada` or `b-ada · easy`, and its seeds. */
  readonly missing: readonly { readonly config: string; readonly seeds: readonly number[] }[];
}

/** @param studies whose runs stand together */
export function missingRuns(studies: readonly Study[], runs: readonly ReportRun[]): MissingRuns {
  const there = new Set(runs.map((run) => key(run.config, taskLabel(run), run.seed)));
  const parts = studies.map((study) => {
    const cells = resolvedConfigs(study);
    return {
      planned: cells.length * study.seeds.length,
      missing: cells.flatMap(({ name, taskLabel: task }) => {
        const seeds = study.seeds.filter((seed) => !there.has(key(name, task, seed)));
        return seeds.length === 0 ? [] : [{ config: task === undefined ? name : `${name} · ${task}`, seeds }];
      }),
    };
  });
  return {
    planned: parts.reduce((sum, { planned }) => sum + planned, 0),
    missing: parts.flatMap(({ missing }) => missing),
  };
}

function key(config: string, task: string | undefined, seed: number): string {
  return JSON.stringify([config, task ?? null, seed]);
}
