/** What has to be known of which runs stand where, a sentence each. */
import { strayWords } from "../diverged.ts";
import type { RunGroup } from "../group.ts";
import { counted, shortCode } from "../numbers.ts";
import type { FoundRuns, ReportRun } from "../run.ts";
import { departure, plans, type StudyFile } from "../study-file.ts";

/** @param idle files that no group is of */
export function notesOf(
  { diverged }: FoundRuns,
  groups: readonly RunGroup[],
  files: readonly StudyFile[],
  idle: readonly StudyFile[],
): string[] {
  return [
    ...mixtures(groups),
    ...joined(groups),
    ...unplanned(groups),
    ...overplanned(groups, files),
    ...strayWords(diverged, groups),
    ...idle.map(({ study, source }) =>
      diverged.some((run) => run.study === study.name)
        ? `No run of ${study.name} came to a result (${source}).`
        : `There are no runs of ${study.name} yet (${source}).`,
    ),
  ];
}

const MOST_NAMED = 4;

/** Results of two codes are never in one table; that there are two is said. */
function mixtures(groups: readonly RunGroup[]): string[] {
  return [...new Set(groups.map(({ study }) => study))].flatMap((study) => {
    const of = groups.filter((group) => group.study === study);
    if (of.length < 2) return [];
    const parts = of.map(({ code, device, runs }) => `${runs.length} by code ${shortCode(code)} on ${device}`);
    const more = parts.length > MOST_NAMED ? ` and ${parts.length - MOST_NAMED} more` : "";
    return [
      `Runs of ${study} were made by different code or devices (${parts.slice(0, MOST_NAMED).join(", ")}${more}). They are never compared: each has its own tables and verdicts below.`,
    ];
  });
}

/** What another study adds is said. */
function joined(groups: readonly RunGroup[]): string[] {
  return groups.flatMap(({ study, runs, within }) =>
    within.flatMap((other) => {
      const made = runs.filter((run) => run.study === other.study).length;
      return made === 0
        ? []
        : [`${made} runs that were made for ${other.study} have the settings of ${study}, and stand in its tables.`];
    }),
  );
}

/** Runs that have the study's name and other settings are no cells of it. */
function unplanned(groups: readonly RunGroup[]): string[] {
  const all = groups.flatMap((group) => [group, ...group.within]);
  return all.flatMap(({ file, others }) =>
    others.length === 0
      ? []
      : [
          `Left out: ${counted(others.length, "run")} of ${file!.study.name} that its file does not plan (${others[0]!.name}: ${departure(file!, others[0]!)}).`,
        ],
  );
}

/** Who looks until a test says what it should has looked too often: seeds beyond those that were planned are told. */
function overplanned(groups: readonly RunGroup[], files: readonly StudyFile[]): string[] {
  const planned = (run: ReportRun): boolean =>
    files.some((file) => file.study.seeds.includes(run.seed) && plans(file, run));
  return groups.flatMap(({ study, file, runs }) => {
    const beyond = file === undefined ? [] : runs.filter((run) => !planned(run));
    if (beyond.length === 0) return [];
    const seeds = [...new Set(beyond.map(({ seed }) => seed))].sort((a, b) => a - b);
    return [
      `${counted(beyond.length, "run")} of ${study} ${beyond.length === 1 ? "has a seed" : "have seeds"} that no file plans (${seeds.join(", ")}); tables and tests have them: claims were written down for other seeds.`,
    ];
  });
}
