/**
 * Runs that may stand in one table: of one study, by one version of the code, on one kind of device. Others get tables of their own. Where a study's file
 * is given, its runs are those whose config it plans with the same settings, for whatever study they were made: one that adds seeds to another adds
 * to its tables, and what ran under its name with other settings is left out. Without a file the name decides.
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
  /** Runs of the study's name that its file does not plan. */
  readonly others: readonly ReportRun[];
  /** Studies whose runs are all among these, and which have no claims of their own. */
  readonly within: readonly Pick<RunGroup, "study" | "file" | "others">[];
}

/** In the order in which files were given, else those with most runs first. @throws InputError where a cell is there twice */
export function groupRuns(runs: readonly ReportRun[], files: readonly StudyFile[]): RunGroup[] {
  const once = [...grouped(runs, ({ id }) => id).values()].map(([run]) => run!);
  const place = ({ file }: RunGroup): number => (file === undefined ? files.length : files.indexOf(file));
  return [...grouped(once, ({ code, device }) => JSON.stringify([code, device])).values()]
    .flatMap((of) => studiesOf(of, files))
    .sort((a, b) => place(a) - place(b) || b.runs.length - a.runs.length);
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
      within: groups
        .filter((other) => home(other) === group)
        .map(({ study, file, others }) => ({ study, file, others })),
    }));
}

function groupOf(study: string, all: readonly ReportRun[], file: StudyFile | undefined): RunGroup {
  const own = all.filter((run) => run.study === study);
  const bases = new Set(own.map(baseName));
  const belongs = (run: ReportRun): boolean =>
    file === undefined ? run.study === study : (own.length === 0 || bases.has(baseName(run))) && plans(file, run);
  const cells = all.filter((run) => triedFor(run.config) === undefined);
  const runs = cells.filter(belongs);
  refuseTwice(runs);
  refuseOtherItems(runs);
  const { code, device } = all[0]!;
  return {
    study,
    code,
    device,
    file,
    runs,
    tried: all.filter((run) => triesFor(run, study, runs)),
    others: cells.filter((run) => run.study === study && !runs.includes(run)),
    within: [],
  };
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

/** Runs of one seed are compared item by item. */
function refuseOtherItems(runs: readonly ReportRun[]): void {
  for (const of of grouped(runs, ({ resolved, seed }) => JSON.stringify([resolved.taskLabel, seed])).values()) {
    const [first] = of;
    const other = of.find(({ final }) => final.examples !== first!.final.examples);
    if (other !== undefined)
      throw new InputError(
        `${first!.name} was scored on ${first!.final.examples} items and ${other.name} on ${other.final.examples}, and they have one seed and one task: they cannot be compared; give a folder that holds one of them`,
      );
  }
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
