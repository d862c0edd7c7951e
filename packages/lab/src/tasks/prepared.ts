/** Data of the tasks of a study, each read once, when a run first needs it. */
import type { Device } from "@lowrank/tensor";
import { canonicalJson } from "../config/canonical.ts";
import type { ResolvedConfig } from "../config/study.ts";
import type { TaskData, TaskEnvironment } from "../records/task.ts";
import { prepareTask } from "./prepare.ts";

export class PreparedTasks {
  readonly #environment: TaskEnvironment;
  readonly #device: Device;
  readonly #data = new Map<string, Promise<TaskData>>();

  constructor(environment: TaskEnvironment, device: Device) {
    this.#environment = environment;
    this.#device = device;
  }

  /** All configs of a study have one base: the task tells their data. */
  of(config: ResolvedConfig): Promise<TaskData> {
    const key = canonicalJson(config.task);
    const known = this.#data.get(key);
    if (known !== undefined) return known;
    const made = prepareTask(config, this.#environment, this.#device);
    this.#data.set(key, made);
    return made;
  }
}
