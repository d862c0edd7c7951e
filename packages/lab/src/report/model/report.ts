/** All that a report says, as plain data: runs in, numbers out. How it is said is `write/`'s and `views/`'. */
import { claimsOf } from "../../config/claims.ts";
import { InputError } from "../../errors.ts";
import { metricNamed } from "../../metrics/of-evaluation.ts";
import { byTask, taskLabel } from "../../store/by-task.ts";
import type { Measured } from "../../store/measured.ts";
import { tasks } from "../../tasks/registry.ts";
import { indistinguishable, type TwinRuns } from "../../store/summary.ts";
import { summarizeRecovery, type RecoverySummary } from "../../study/rank-picture.ts";
import { divergedOf, divergedWords } from "../diverged.ts";
import { groupRuns, type RunGroup } from "../group.ts";
import { departure, type StudyFile } from "../study-file.ts";
import { ORIGINAL, ORIGINAL_TASK, type OriginalRow } from "../original.ts";
import { triedFor, type DivergedRun, type FoundRuns, type ReportRun } from "../run.ts";
import { decideClaims, isMeasured, type Saying } from "./claims.ts";
import { curvesOf, type ConfigCurves } from "./curves.ts";
import { notesOf } from "./notes.ts";
import { machinesOf, type Machine } from "./machines.ts";
import { missingRuns, type MissingRuns } from "./missing.ts";
import { differenceOf, pairsOf, type Difference } from "./pairs.ts";
import { proofCounts, type ProofCount } from "./proofs.ts";
import { rankMapsOf, type MeanRankMap } from "./rank-maps.ts";
import { sweptConfigs, type SweptConfig } from "./rates.ts";
import { metricsOf, scoresOf, type ConfigScore } from "./scores.ts";
import { settingsOf, type Settings } from "./settings.ts";

export interface TaskReport {
  /** What the study calls the task; undefined where it has one. */
  readonly label: string | undefined;
  /** Name of the task's record. */
  readonly task: string;
  /** The metric that is compared: the first. */
  readonly metric: string;
  readonly better: "higher" | "lower";
  /** Items of one evaluation. */
  readonly items: number;
  /** What its numbers say nothing without, in the task's words. */
  readonly scored: string | undefined;
  readonly scores: readonly ConfigScore[];
  readonly original: readonly OriginalRow[];
  /** Pairs that claims are about first, then every config against the first. */
  readonly differences: readonly (Difference & { readonly claimed: boolean })[];
  readonly curves: readonly ConfigCurves[];
  readonly rankMaps: readonly MeanRankMap[];
  readonly recovery: readonly RecoverySummary[];
  readonly settings: Settings;
}

export interface StudyReport {
  readonly study: string;
  readonly about: string | undefined;
  readonly code: string;
  readonly device: string;
  readonly runs: readonly ReportRun[];
  readonly seeds: readonly number[];
  /** Differences and equalities in the family of the study. */
  readonly family: number;
  readonly sayings: readonly Saying[];
  readonly tasks: readonly TaskReport[];
  readonly sweeps: readonly SweptConfig[];
  /** Runs that have no result, since a number in them was not finite. */
  readonly diverged: readonly DivergedRun[];
  readonly proofs: readonly ProofCount[];
  readonly machines: readonly Machine[];
  readonly twins: readonly TwinRuns[];
  /** What runs warn of, by run. */
  readonly warnings: readonly { readonly run: string; readonly line: string }[];
  /** Undefined where no file of the study was given. */
  readonly missing: MissingRuns | undefined;
}

export interface Report {
  readonly studies: readonly StudyReport[];
  readonly measured: readonly Measured[];
  readonly notes: readonly string[];
}

/** @throws InputError for study files that are all without runs, two of one study, and what `groupRuns` and `decideClaims` refuse */
export function reportOf(found: FoundRuns, files: readonly StudyFile[], measured: readonly Measured[]): Report {
  const groups = groupRuns(found.runs, files);
  if (groups.length === 0)
    throw new InputError(files.length === 0 ? "there is no finished run to report on" : nothingOf(files[0]!, found));
  for (const [i, { study, source }] of files.entries()) {
    const other = files.findIndex((file) => file.study.name === study.name);
    if (other !== i)
      throw new InputError(`${files[other]!.source} and ${source} are both of the study "${study.name}"; give one`);
  }
  const idle = files.filter(
    ({ study }) => !groups.some((group) => [group, ...group.within].some((of) => of.study === study.name)),
  );
  if (idle.length > 0 && idle.length === files.length) throw new InputError(nothingOf(idle[0]!, found));
  return {
    studies: groups.map((group) => studyReport(group, found, measured)),
    measured,
    notes: [...found.notes, ...notesOf(found, groups, files, idle)],
  };
}

function nothingOf(file: StudyFile, { runs, diverged }: FoundRuns): string {
  const { source, study } = file;
  const named = runs.find((run) => run.study === study.name && triedFor(run.config) === undefined);
  if (named !== undefined)
    return `${source}: plans none of the runs of "${study.name}" that were found: ${named.name}: ${departure(file, named)}; give the file that they were made with`;
  const ended = diverged.filter((run) => run.study === study.name);
  if (ended.length > 0) return `${source}: no run of "${study.name}" came to a result: ${divergedWords(ended)}`;
  return `${source}: there are no runs of the study "${study.name}"; those found are of ${[...new Set(runs.map((run) => run.study))].join(", ")}`;
}

function studyReport(group: RunGroup, found: FoundRuns, measured: readonly Measured[]): StudyReport {
  const { study, code, device, file, runs: unordered, tried, within } = group;
  const studies = [file, ...within.map((other) => other.file)].flatMap((of) => of?.study ?? []);
  const diverged = divergedOf(group, found.diverged);
  const runs = inOrder(unordered, file);
  const claims = file === undefined ? [] : claimsOf(file.study, file.source);
  const twins = indistinguishable(runs);
  const sayings = decideClaims(claims, runs, { studies, twins, diverged }, measured, file?.source ?? study);
  return {
    study,
    about: file?.about,
    code,
    device,
    runs,
    seeds: [...new Set(runs.map(({ seed }) => seed))].sort((a, b) => a - b),
    family: claims.filter(({ kind }) => kind === "greater" || kind === "less").length,
    sayings,
    tasks: byTask(runs).map(({ task, results }) => taskReport(task, results as readonly ReportRun[], sayings)),
    sweeps: sweptConfigs(tried, runs, diverged),
    diverged: diverged.filter(({ config }) => triedFor(config) === undefined),
    proofs: proofCounts(runs),
    machines: machinesOf(runs),
    twins,
    warnings: runs.flatMap(({ name, warnings = [] }) => warnings.map((line) => ({ run: name, line }))),
    missing: studies.length === 0 ? undefined : missingRuns(studies, runs),
  };
}

/** Configs as the study's file has them, else by name; seeds from the smallest on. */
function inOrder(runs: readonly ReportRun[], file: StudyFile | undefined): readonly ReportRun[] {
  const configs = Object.keys(file?.study.configs ?? {});
  const tasks = Object.keys(file?.study.tasks ?? {});
  const place = (name: string, names: readonly string[]): number =>
    names.includes(name) ? names.indexOf(name) : names.length;
  return [...runs].sort(
    (a, b) =>
      place(taskLabel(a) ?? "", tasks) - place(taskLabel(b) ?? "", tasks) ||
      place(a.config, configs) - place(b.config, configs) ||
      (a.config < b.config ? -1 : a.config > b.config ? 1 : a.seed - b.seed),
  );
}

function taskReport(label: string | undefined, runs: readonly ReportRun[], sayings: readonly Saying[]): TaskReport {
  const [first] = runs;
  const metric = metricsOf(runs)[0] ?? "loss";
  const task = first!.task;
  return {
    label,
    task,
    metric,
    better: metric === "loss" ? "lower" : metricNamed(metric).better,
    items: first!.final.examples,
    scored: tasks.has(task) ? tasks.get(task).scoredWords?.(first!.resolved.task, first!.final) : undefined,
    scores: scoresOf(runs),
    original: task === ORIGINAL_TASK ? ORIGINAL.filter(({ config }) => runs.some((run) => run.config === config)) : [],
    differences: differencesOf(label, runs, metric, sayings),
    curves: curvesOf(runs),
    rankMaps: rankMapsOf(runs),
    recovery: summarizeRecovery(runs),
    settings: settingsOf(runs),
  };
}

function differencesOf(
  label: string | undefined,
  runs: readonly ReportRun[],
  metric: string,
  sayings: readonly Saying[],
): TaskReport["differences"] {
  const claimed = sayings.flatMap(({ parts }) =>
    parts.flatMap((part) =>
      !isMeasured(part) && part.claim.task === label && part.claim.metric === metric ? [part.claim.configs] : [],
    ),
  );
  const [reference, ...others] = [...new Set(runs.map(({ config }) => config))];
  const rest = others
    .map((config) => [config, reference!] as const)
    .filter(([a, b]) => !claimed.some((pair) => pair.includes(a) && pair.includes(b)));
  return [...claimed.map((pair) => [pair, true] as const), ...rest.map((pair) => [pair, false] as const)].flatMap(
    ([configs, isClaimed]) => {
      const pairs = pairsOf(runs, configs, metric);
      return pairs.seeds.length === 0 ? [] : [{ ...differenceOf(pairs, configs, metric), claimed: isClaimed }];
    },
  );
}
