/** Results of a study of several tasks are told task by task: their numbers are of different things. */
import type { FinishedRun } from "./measures.ts";

export interface TaskResults {
  /** What the study calls the task; undefined where it has one. */
  readonly task: string | undefined;
  readonly results: readonly FinishedRun[];
}

export function taskLabel({ resolved }: Pick<FinishedRun, "resolved">): string | undefined {
  return resolved.taskLabel;
}

/** In the order in which tasks are met. */
export function byTask(results: readonly FinishedRun[]): TaskResults[] {
  // what nobody has made yet is of one task
  return [...new Set(results.length === 0 ? [undefined] : results.map(taskLabel))].map((task) => ({
    task,
    results: results.filter((result) => taskLabel(result) === task),
  }));
}
