/** Part of a study: `--configs`, `--tasks`. What is left out stays part of the study, so runs are the same ones whoever makes which. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { tasksOf } from "./cells.ts";
import type { ResolvedConfig, Study } from "./study.ts";

export interface StudyPart {
  /** Names of configs; absent: all. */
  readonly configs?: readonly string[] | undefined;
  /** Names of tasks; absent: all. */
  readonly tasks?: readonly string[] | undefined;
}

/** @throws InputError for a name that the study does not have, with the one that may be meant */
export function checkPart(study: Study, { configs, tasks }: StudyPart): void {
  known("--configs", "config", configs, Object.keys(study.configs));
  const labels = tasksOf(study).flatMap(({ label }) => label ?? []);
  if (tasks !== undefined && labels.length === 0)
    throw new InputError("--tasks: the study has one task, which has no name to choose it by; leave it out");
  known("--tasks", "task", tasks, labels);
}

export function inPart({ name, taskLabel }: ResolvedConfig, { configs, tasks }: StudyPart): boolean {
  return (configs?.includes(name) ?? true) && (tasks?.includes(taskLabel ?? "") ?? true);
}

function known(option: string, what: string, said: readonly string[] | undefined, all: readonly string[]): void {
  for (const [i, name] of (said ?? []).entries()) {
    if (!all.includes(name))
      throw new InputError(`${option}: the study has no ${what} ${quote(cut(name))}${suggestion(cut(name), all)}`);
    if (said!.indexOf(name) !== i)
      throw new InputError(`${option}: ${quote(name)} is given twice; one of them would be ignored`);
  }
}
