/** Makes runs of a study in this process: they share a device, its plans, and the data of their tasks. */
import { printable } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import { RunError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { Busy } from "../records/executor.ts";
import type { TaskEnvironment } from "../records/task.ts";
import { StudyTime } from "../text/study-time.ts";
import type { FinishedRun } from "../store/measures.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { checkSteps } from "../train/adapt.ts";
import { totalSteps } from "../train/rate.ts";
import { attempt, type AttemptContext } from "./attempt.ts";
import type { FailedRun } from "./outcome.ts";
import { ProcessMemory, startMemory } from "./peak-rss.ts";
import { needsOf, type StudyRun } from "./plan-study.ts";
import { settle } from "./settle.ts";
import { sourceIn } from "./sources.ts";

export interface MakerContext extends AttemptContext {
  readonly environment: TaskEnvironment;
  /** Of the runs' tasks, where they have been read already. */
  readonly data?: PreparedTasks;
}

export class RunMaker {
  readonly #context: MakerContext;
  readonly #data: PreparedTasks;
  readonly #memory: ProcessMemory;
  readonly #told = new Set<string>();
  #time: StudyTime | undefined;
  /** Names of runs that another process was making when they were tried last. */
  readonly #elsewhere = new Set<string>();

  constructor(context: MakerContext) {
    this.#context = context;
    this.#data = context.data ?? new PreparedTasks(context.environment, context.device);
    this.#memory = new ProcessMemory(context.device, startMemory(context.device));
  }

  /** What the data decides, of all runs before the first is trained. @throws InputError for a schedule that does not fit the steps */
  async check(runs: readonly StudyRun[]): Promise<void> {
    const steps: number[] = [];
    for (const { config } of runs) {
      const total = totalSteps(config, await this.#data.of(config));
      checkSteps(methods.get(config.method.method), config, total);
      steps.push(total);
    }
    this.#time = new StudyTime(steps);
  }

  /**
   * Makes the run and publishes it; one whose sources failed is not begun. `Busy` where another process makes it, or one of its sources.
   * @throws InputError for what is wrong for every run
   */
  async make(run: StudyRun, label: string): Promise<FinishedRun | FailedRun | Busy> {
    const source = needsOf(run).find((name) => this.#elsewhere.has(name));
    const outcome = source === undefined ? await this.#try(run, label) : new Busy(`who makes ${source}`);
    if (outcome instanceof Busy) this.#elsewhere.add(run.name);
    else this.#elsewhere.delete(run.name);
    return outcome;
  }

  async #try(run: StudyRun, label: string): Promise<FinishedRun | FailedRun | Busy> {
    const { store, say } = this.#context;
    let config: ResolvedConfig;
    try {
      config = settle(run, (name) => sourceIn(store, name));
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      say(`${label}: ${printable(error.message)}`);
      this.#time?.without(totalSteps(run.config, await this.#data.of(run.config)));
      return { name: run.name, config: run.config.name, seed: run.seed, message: error.message };
    }
    if (config.sources !== undefined) say(`${label}: ${decided(run, config)}`);
    const time = this.#time === undefined ? {} : { time: this.#time };
    const shared = { data: await this.#data.of(config), memory: this.#memory, told: this.#told, ...time };
    return attempt({ ...run, config }, label, shared, this.#context);
  }
}

/** What its sources decided, for people. */
function decided({ needs }: StudyRun, { train }: ResolvedConfig): string {
  return [
    ...(needs.ranks === undefined ? [] : [`ranks of ${needs.ranks}`]),
    ...(needs.rates === undefined ? [] : [`rate ${train.lr}, the best of ${needs.rates.length} that were tried`]),
  ].join(", ");
}
