/** From a resolved config to its task, its data, and the identity of that. */
import type { Device } from "@lowrank/tensor";
import { baseFiles } from "../bases/plan.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { hashFiles } from "../data/location.ts";
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

/** Content of everything a run of this config reads; part of the run id. Cheap: no tokenizing, no device. */
export function dataIdentity(config: ResolvedConfig, environment: TaskEnvironment): string {
  const base = config.base === null ? "random" : hashFiles(baseFiles(config.base));
  return `${taskOf(config).identity(config.task, environment, config.base)}/${base}`;
}
