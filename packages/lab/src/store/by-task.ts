/** Results of a study of several tasks are told task by task: their numbers are of different things. */
import type { RunResult } from "./result.ts";

export interface TaskResults {
  /** What the study calls the task; undefined where it has one. */
  readonly task: string | undefined;
  readonly results: readonly RunResult[];
}

export function taskLabel({ resolved }: Pick<RunResult, "resolved">): string | undefined {
  return resolved.taskLabel;
}

/** In the order in which tasks are met. */
export function byTask(results: readonly RunResult[]): TaskResults[] {
  return [...new Set(results.map(taskLabel))].map((task) => ({
    task,
    results: results.filter((result) => taskLabel(result) === task),
  }));
}
