/** Makes runs of a study in this process: they share a device, its plans, and the data of their tasks. */
import { printable } from "@lowrank/tensor";
import type { ResolvedConfig } from "../config/study.ts";
import { RunError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { Busy, type Report } from "../records/executor.ts";
import type { TaskEnvironment } from "../records/task.ts";
import { StudyTime } from "../text/study-time.ts";
import type { FinishedRun } from "../store/measures.ts";
import type { RunStore } from "../store/run-store.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { checkSteps } from "../train/adapt.ts";
import { totalSteps } from "../train/rate.ts";
import { attempt, type AttemptContext } from "./attempt.ts";
import type { FailedRun } from "./outcome.ts";
import { ProcessMemory, startMemory } from "./peak-rss.ts";
import type { StudyRun } from "./plan-study.ts";
import { lineOfDiverged } from "../store/line-of-run.ts";
import { writeResultLine, type ResultLine } from "../store/result-line.ts";
import { settle, type Source } from "./settle.ts";
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
   * Makes the run and publishes it; one whose sources failed is not begun. `Busy` where another process makes it.
   * @throws InputError for what is wrong for every run; Interrupted where it was asked to stop
   */
  async make(run: StudyRun, label: string, elsewhere: SourcesElsewhere = {}): Promise<FinishedRun | FailedRun | Busy> {
    const { store, say } = this.#context;
    let config: ResolvedConfig;
    try {
      config = settle(run, (name) => sourceIn(store, name) ?? sourceOf(elsewhere[name]));
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

/** What came of runs that a store does not have, by name. */
export type SourcesElsewhere = Readonly<Record<string, Report>>;

function sourceOf(report: Report | undefined): Source | undefined {
  if (report?.kind === "made" && report.result !== undefined) return { result: report.result as FinishedRun };
  return report?.kind === "failed" ? { failure: report.message, diverged: report.diverged ?? false } : undefined;
}

/** What came of a run, as other processes are told. @param device its kind */
export function reportOf(
  outcome: FinishedRun | FailedRun | Busy,
  run: StudyRun,
  { store, device }: { readonly store: RunStore; readonly device: string },
): Report {
  if (outcome instanceof Busy) return { kind: "busy", by: outcome.by };
  const kept = (line: ResultLine | undefined): { readonly line?: string } =>
    line === undefined ? {} : { line: writeResultLine(line) };
  if (!("message" in outcome))
    return { kind: "made", result: outcome, ...kept(store.kept && store.line(outcome.name)) };
  const { name, message, kept: folder } = outcome;
  const source = folder === undefined ? undefined : sourceIn(store, name);
  if (folder === undefined || source === undefined || !("failure" in source) || !source.diverged)
    return { kind: "failed", message, ...(folder === undefined ? {} : { kept: folder }) };
  const { id, cell, config, seed } = run;
  const words = { config: config.name, method: config.method.method, task: config.task.name };
  const told = store.kept && lineOfDiverged(folder, { id, cell, name, ...words, seed, device }, message);
  return { kind: "failed", message, kept: folder, diverged: true, ...kept(told) };
}

/** What its sources decided, for people. */
function decided({ needs }: StudyRun, { train }: ResolvedConfig): string {
  return [
    ...(needs.ranks === undefined ? [] : [`ranks of ${needs.ranks}`]),
    ...(needs.rates === undefined ? [] : [`rate ${train.lr}, the best of ${needs.rates.length} that were tried`]),
  ].join(", ");
}
