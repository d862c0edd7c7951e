/** Runs that came to no result, since a number in them was not finite: which group's they are, and what is said of the others. */
import { taskLabel } from "../store/by-task.ts";
import { grouped } from "./grouped.ts";
import type { RunGroup } from "./group.ts";
import { counted, shortCode } from "./numbers.ts";
import type { DivergedRun } from "./run.ts";

/** Those of the group's studies by its code, but for cells that it has a result of: they were made with other settings. */
export function divergedOf(group: RunGroup, all: readonly DivergedRun[]): DivergedRun[] {
  const { study, code, device, within, runs, tried } = group;
  const studies = [study, ...within.map((other) => other.study)];
  const has = ({ config, seed, task }: DivergedRun): boolean =>
    [...runs, ...tried].some(
      (run) => run.config === config && run.seed === seed && (task === undefined || taskLabel(run) === task),
    );
  return all.filter(
    (run) =>
      studies.includes(run.study) && (run.code ?? code) === code && (run.device ?? device) === device && !has(run),
  );
}

/** A sentence for each study and code whose runs came to nothing, of runs that no group has. */
export function strayWords(all: readonly DivergedRun[], groups: readonly RunGroup[]): string[] {
  const told = new Set(groups.flatMap((group) => divergedOf(group, all)));
  const stray = grouped(
    all.filter((run) => !told.has(run)),
    ({ study, code }) => JSON.stringify([study, code ?? ""]),
  );
  return [...stray.values()].map((of) => {
    const { study, code } = of[0]!;
    const by = code === undefined ? "" : ` by code ${shortCode(code)}`;
    return `Outside of all tables: ${counted(of.length, "run")} of ${study}${by} came to no result: ${divergedWords(of)}.`;
  });
}

const MOST = 6;

/** `u with seed 1 (…), u with seed 2 (…) and 3 more`. */
export function divergedWords(runs: readonly DivergedRun[]): string {
  const named = runs
    .slice(0, MOST)
    .map(
      ({ config, task, seed, why }) => `${config}${task === undefined ? "" : ` on ${task}`} with seed ${seed} (${why})`,
    );
  return `${named.join(", ")}${runs.length > MOST ? ` and ${runs.length - MOST} more` : ""}`;
}
