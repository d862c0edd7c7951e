/** Runs that may stand in one table: of one study, by one version of the code, on one kind of device. Others get tables of their own. */
import { InputError } from "../errors.ts";
import { grouped } from "./grouped.ts";
import { flatSettings } from "./settings-text.ts";
import { triedFor, type ReportRun } from "./run.ts";

export interface RunGroup {
  readonly study: string;
  readonly code: string;
  readonly device: string;
  /** Cells of the study. */
  readonly runs: readonly ReportRun[];
  /** Runs that tried rates, which no table of results has. */
  readonly tried: readonly ReportRun[];
}

/** Those with most runs first. @throws InputError where a cell is there twice */
export function groupRuns(runs: readonly ReportRun[]): RunGroup[] {
  const groups = grouped(runs, ({ study, code, device }) => JSON.stringify([study, code, device]));
  return [...groups.values()]
    .map((of): RunGroup => {
      const { study, code, device } = of[0]!;
      const cells = of.filter(({ config }) => triedFor(config) === undefined);
      refuseTwice(cells);
      return { study, code, device, runs: cells, tried: of.filter((run) => !cells.includes(run)) };
    })
    .filter((group) => group.runs.length > 0)
    .sort((a, b) => b.runs.length - a.runs.length);
}

function refuseTwice(runs: readonly ReportRun[]): void {
  const seen = new Map<string, ReportRun>();
  for (const run of runs) {
    const key = JSON.stringify([run.resolved.taskLabel, run.config, run.seed]);
    const other = seen.get(key);
    seen.set(key, run);
    if (other === undefined) continue;
    const [a, b] = [flatSettings(other.resolved), flatSettings(run.resolved)];
    const differs = [...new Set([...a.keys(), ...b.keys()])].find((at) => a.get(at) !== b.get(at));
    throw new InputError(
      `${run.config} with seed ${run.seed} is there twice: ${other.name} and ${run.name}${differs === undefined ? ", of different data" : `, which differ in "${differs}"`}; a table has room for one: give a folder that holds one of them`,
    );
  }
}
