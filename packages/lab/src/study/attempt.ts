/** One run of a study in this process: its folder, its sinks, its progress; what becomes of it when it fails. */
import { dirname } from "node:path";
import { printable, type Device } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import type { SinkRecord } from "../records/sink.ts";
import type { TaskData } from "../records/task.ts";
import { LOCAL } from "../sinks/registry.ts";
import type { Environment } from "../store/environment.ts";
import { hostOf, type FinishedRun } from "../store/measures.ts";
import type { RunResult } from "../store/result.ts";
import type { RunStore } from "../store/run-store.ts";
import { metricsOf, taskOf } from "../tasks/prepare.ts";
import { formatDuration } from "../text/format.ts";
import { type ProgressMode, startProgress } from "../text/progress.ts";
import type { StudyTime } from "../text/study-time.ts";
import { totalSteps, withRate } from "../train/rate.ts";
import { executeRun } from "../train/run.ts";
import { openSinks } from "../train/sinks.ts";
import type { FailedRun } from "./outcome.ts";
import type { ProcessMemory } from "./peak-rss.ts";
import type { StudyRun } from "./plan-study.ts";

/** What runs in one process share. */
export interface AttemptContext {
  readonly store: RunStore;
  readonly machine: Environment;
  readonly device: Device;
  readonly progress: ProgressMode;
  /** Who receives their numbers beside their own files. */
  readonly sinks?: readonly SinkRecord[];
  /** Receives lines for people. */
  readonly say: (line: string) => void;
}

/** Of the process, beside the context: the task's data, its memory so far, lines that were said already. */
export interface Shared {
  readonly data: TaskData;
  readonly memory: ProcessMemory;
  readonly told: Set<string>;
  /** Of the runs that this process is to make, one after another. */
  readonly time?: StudyTime;
}

/** Makes the run and publishes it. @throws InputError for what is wrong for every run */
export async function attempt(
  run: StudyRun,
  label: string,
  { data, memory, told, time }: Shared,
  context: AttemptContext,
): Promise<FinishedRun | FailedRun> {
  const folder = context.store.begin(run.name);
  for (const path of folder.setAside) context.say(`${label}: an unfinished run was found and set aside: ${path}`);
  const config = withRate(run.config, methods.get(run.config.method.method), data);
  folder.writeJson("config.json", { study: run.study, seed: run.seed, ...config });
  folder.writeJson("env.json", context.machine);
  folder.event("started", { id: run.id });
  const total = totalSteps(config, data);
  time?.began(total);
  const progress = startProgress(context.progress, label, total, process.stderr, (left) => time?.beyond(left));
  const sinks = openSinks(
    { local: LOCAL, others: context.sinks ?? [] },
    { folder: folder.path, out: dirname(context.store.folder), say: (line) => progress.line(line) },
  );
  try {
    const once = (line: string): void => {
      if (!told.has(line)) progress.line(line);
      told.add(line);
    };
    const workload = {
      task: taskOf(config),
      data,
      metrics: metricsOf(config),
      method: methods.get(config.method.method),
    };
    const { result, measures: taken } = await executeRun({ ...run, config }, workload, {
      sinks,
      device: context.device,
      folder,
      progress,
      memory,
      once,
    });
    progress.stop();
    const measures = { ...taken, host: hostOf(context.machine) };
    sinks.artifact("result.json", JSON.stringify(result));
    sinks.artifact("measures.json", JSON.stringify(measures));
    await sinks.finish("finished");
    const first = folder.commit(result, measures);
    context.say(
      `${label}: ${words(result)}, ${formatDuration(measures.seconds.total)}${first ? "" : " (another process had finished it first; its result counts)"}`,
    );
    for (const warning of result.warnings ?? []) context.say(`${label}: WARNING: ${printable(warning)}`);
    return first ? { ...result, study: run.study, resolved: config, measures } : context.store.finished(run.name)!;
  } catch (error) {
    progress.stop();
    const failure = error instanceof Error ? error : new Error(String(error));
    await sinks.finish("failed");
    // Wrong input is wrong for every run: stop at once, leave nothing.
    if (failure instanceof InputError) {
      folder.discard();
      throw failure;
    }
    const kept = folder.fail(failure);
    context.say(`${label}: FAILED: ${printable(failure.message)} (kept: ${kept})`);
    return { name: run.name, config: run.config.name, seed: run.seed, message: failure.message, kept };
  }
}

/** `accuracy 91.60 %, F1 91.52 %`. */
function words({ final }: RunResult): string {
  return metricNames(final)
    .map((name) => metricWords(final, name))
    .join(", ");
}
