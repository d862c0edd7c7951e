/** From a resolved config to its task, its data, and the identity of that. */
import type { Device } from "@lowrank/tensor";
import { baseIdentity } from "../bases/found.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { metrics } from "../metrics/registry.ts";
import type { Metric } from "../records/metric.ts";
import type { Task, TaskData, TaskEnvironment } from "../records/task.ts";
import { tasks } from "./registry.ts";

export function taskOf({ task }: Pick<ResolvedConfig, "task">): Task {
  return tasks.get(task.name);
}

/** The metrics of a config's runs, in order. */
export function metricsOf(config: Pick<ResolvedConfig, "task" | "metrics">): Metric[] {
  return (config.metrics ?? taskOf(config).metrics).map((name) => metrics.get(name));
}

/** Reads or makes the data of a task. */
export function prepareTask(config: ResolvedConfig, environment: TaskEnvironment, device: Device): Promise<TaskData> {
  return taskOf(config).data(config.task, config, environment, device);
}

/** Content of the base of a config, which all configs of a study share. */
export async function identityOfBase(config: Pick<ResolvedConfig, "base" | "revision">): Promise<string> {
  const { base } = config;
  return base === null ? "random" : baseIdentity({ ...config, base });
}

/**
 * Content of everything a run of this config reads; part of the run id. Cheap: no tokenizing, no device.
 * @param base identity of the base
 */
export async function dataIdentity(
  config: ResolvedConfig,
  environment: TaskEnvironment,
  base: string,
): Promise<string> {
  return `${await taskOf(config).identity(config.task, environment, config.base, config.revision)}/${base}`;
}
