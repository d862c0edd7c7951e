/** From a resolved config to its task, and to the identity of its data. */
import type { Device } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/load.ts";
import { hashFiles } from "../data/location.ts";
import { sst2Identity } from "../data/sst2.ts";
import { baseFiles } from "../train/classifier.ts";
import { preparePlantedRank } from "./planted-rank.ts";
import { prepareSst2 } from "./sst2.ts";
import type { PreparedTask, TaskEnvironment } from "./task.ts";

/** Reads or makes the data of a task. */
export function prepareTask(
  config: ResolvedConfig,
  environment: TaskEnvironment,
  device: Device,
): Promise<PreparedTask> {
  return config.task.name === "sst2"
    ? prepareSst2(config.task, config, environment, device)
    : preparePlantedRank(config.task, config, device);
}

/** Content of everything a run of this config reads; part of the run id. Cheap: no tokenizing, no device. */
export function dataIdentity(config: ResolvedConfig, environment: TaskEnvironment): string {
  const base = config.base === null ? "random" : hashFiles(baseFiles(config.base));
  return config.task.name === "sst2"
    ? `${sst2Identity({ ...environment, base: config.base })}/${base}`
    : `planted-rank-1/${base}`;
}
