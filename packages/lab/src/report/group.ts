/**
 * Runs that may stand in one table: of one study, by one version of the code, on one kind of device. Others get tables of their own. A run is of the
 * study that it was made for, and of every study whose file plans its config with the same settings: one that adds seeds to another adds to its tables.
 */
import { posix } from "node:path";
import { InputError } from "../errors.ts";
import { grouped } from "./grouped.ts";
import { flatSettings } from "./settings-text.ts";
import { plans, type StudyFile } from "./study-file.ts";
import { triedFor, type ReportRun } from "./run.ts";

export interface RunGroup {
  readonly study: string;
  readonly code: string;
  readonly device: string;
  readonly file: StudyFile | undefined;
  /** Cells of the study. */
  readonly runs: readonly ReportRun[];
  /** Runs that tried rates, which no table of results has. */
  readonly tried: readonly ReportRun[];
  /** Studies whose runs are all among these, and which have no claims of their own. */
  readonly within: readonly { readonly study: string; readonly file: StudyFile | undefined }[];
}

/** Those with most runs first. @throws InputError where a cell is there twice */
export function groupRuns(runs: readonly ReportRun[], files: readonly StudyFile[]): RunGroup[] {
  const once = [...grouped(runs, ({ id }) => id).values()].map(([run]) => run!);
  return [...grouped(once, ({ code, device }) => JSON.stringify([code, device])).values()]
    .flatMap((of) => studiesOf(of, files))
    .sort((a, b) => b.runs.length - a.runs.length);
}

function studiesOf(runs: readonly ReportRun[], files: readonly StudyFile[]): RunGroup[] {
  const names = new Set([...files.map(({ study }) => study.name), ...runs.map(({ study }) => study)]);
  const groups = [...names]
    .map((study) =>
      groupOf(
        study,
        runs,
        files.find((file) => file.study.name === study),
      ),
    )
    .filter((group) => group.runs.length > 0);
  const home = (group: RunGroup): RunGroup | undefined => groups.find((other) => holds(other, group));
  return groups
    .filter((group) => home(group) === undefined)
    .map((group) => ({
      ...group,
      within: groups.filter((other) => home(other) === group).map(({ study, file }) => ({ study, file })),
    }));
}

function groupOf(study: string, all: readonly ReportRun[], file: StudyFile | undefined): RunGroup {
  const own = all.filter((run) => run.study === study);
  const bases = new Set(own.map(baseName));
  const belongs = (run: ReportRun): boolean =>
    run.study === study || (file !== undefined && (own.length === 0 || bases.has(baseName(run))) && plans(file, run));
  const runs = all.filter((run) => triedFor(run.config) === undefined && belongs(run));
  refuseTwice(runs);
  const { code, device } = all[0]!;
  return { study, code, device, file, runs, tried: all.filter((run) => triesFor(run, study, runs)), within: [] };
}

/** A base is where each machine keeps it; what it is called is the same. */
function baseName({ resolved }: ReportRun): string {
  return resolved.base === null ? "" : posix.basename(resolved.base.replaceAll("\\", "/"));
}

/** Whether a run tried a rate for this study, or for another one whose config is the same. */
function triesFor(run: ReportRun, study: string, runs: readonly ReportRun[]): boolean {
  const of = triedFor(run.config)?.config;
  if (of === undefined) return false;
  const cell = runs.find(({ config, resolved }) => config === of && resolved.taskLabel === run.resolved.taskLabel);
  if (cell === undefined) return run.study === study;
  const method = (one: ReportRun): string =>
    JSON.stringify([...flatSettings(one.resolved)].filter(([key]) => /^method\.(?!rate)/.test(key)));
  return method(run) === method(cell) && baseName(run) === baseName(cell);
}

/** Whether all runs of the second are runs of the first, which has more, or is the one whose claims are decided. */
function holds(first: RunGroup, second: RunGroup): boolean {
  if (first === second || Object.keys(second.file?.study.claims ?? {}).length > 0) return false;
  const there = new Set(first.runs);
  if (!second.runs.every((run) => there.has(run))) return false;
  const claims = ({ file }: RunGroup): number => Object.keys(file?.study.claims ?? {}).length;
  return (
    first.runs.length > second.runs.length ||
    claims(first) > 0 ||
    // of two that hold each other one is left
    first.study < second.study
  );
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
