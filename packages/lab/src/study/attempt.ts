/** One run of a study in this process: claimed, gone on with where it was left, and published. What becomes of it otherwise: `left.ts`. */
import { hostname } from "node:os";
import { dirname, relative } from "node:path";
import { printable, type Device } from "@lowrank/tensor";
import { methods } from "../methods/registry.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import { Busy } from "../records/executor.ts";
import type { SinkRecord } from "../records/sink.ts";
import type { TaskData } from "../records/task.ts";
import { LOCAL } from "../sinks/registry.ts";
import { Checkpoints, CHECKPOINTS, type Checkpoint } from "../store/checkpoints.ts";
import type { Environment } from "../store/environment.ts";
import { hostOf, type FinishedRun } from "../store/measures.ts";
import type { RunResult } from "../store/result.ts";
import { LAST_GOOD } from "../store/names.ts";
import type { RunFolder, RunStore } from "../store/run-store.ts";
import { metricsOf, taskOf } from "../tasks/prepare.ts";
import { formatDuration } from "../text/format.ts";
import { type ProgressMode, startProgress } from "../text/progress.ts";
import type { StudyTime } from "../text/study-time.ts";
import { CHECKPOINT_DEFAULTS, type CheckpointWords } from "../train/checkpointing.ts";
import { totalSteps, withRate } from "../train/rate.ts";
import { executeRun } from "../train/run.ts";
import { openSinks } from "../train/sinks.ts";
import { Interrupted, type Stop } from "../train/stop.ts";
import { leave } from "./left.ts";
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
  /** How often a run is saved on its way. Default: `CHECKPOINT_DEFAULTS`. */
  readonly checkpoints?: CheckpointWords | undefined;
  /** Asked to stop, a run is saved and left: `attempt` throws `Interrupted`. */
  readonly stop?: Stop | undefined;
  /** What makes the runs again, for adapters' cards. */
  readonly command?: string | undefined;
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

/**
 * Makes the run and publishes it; `Busy` where another process is at it.
 * @throws InputError for what is wrong for every run; Interrupted where it was asked to stop
 */
export async function attempt(
  run: StudyRun,
  label: string,
  shared: Shared,
  context: AttemptContext,
): Promise<FinishedRun | FailedRun | Busy> {
  const beginning = context.store.begin(run.name);
  if ("claimed" in beginning) return make(beginning.claimed, run, label, shared, context);
  if ("done" in beginning) {
    shared.time?.without(totalSteps(run.config, shared.data));
    context.say(`${label}: made by another process, ${metricsSaid(beginning.done)}`);
    return beginning.done;
  }
  const { pid, host } = beginning.busy;
  const busy = new Busy(`process ${pid}${host === hostname() ? "" : ` on ${host}`}`);
  const line = `${label}: is being made by ${busy.by}; others first`;
  if (!shared.told.has(line)) context.say(line);
  shared.told.add(line);
  return busy;
}

async function make(
  folder: RunFolder,
  run: StudyRun,
  label: string,
  { data, memory, told, time }: Shared,
  { store, machine, device, stop, checkpoints = CHECKPOINT_DEFAULTS, ...context }: AttemptContext,
): Promise<FinishedRun | FailedRun | Busy> {
  const say = (line: string): void => context.say(`${label}: ${printable(line)}`);
  const method = methods.get(run.config.method.method);
  const config = withRate(run.config, method, data);
  const total = totalSteps(config, data);
  time?.began(total);
  const progress = startProgress(context.progress, label, total, process.stderr, (left) => time?.beyond(left));
  const sinks = openSinks(
    { local: LOCAL, others: context.sinks ?? [] },
    { folder: folder.path, out: dirname(store.folder), say: (line) => progress.line(line) },
  );
  const saved = new Checkpoints(folder.path, { identity: run.id, keep: checkpoints.keep });
  let from: Checkpoint | undefined;
  try {
    for (const path of folder.setAside) say(`an unfinished run was found and set aside: ${path}`);
    from = await saved.newest(say);
    folder.cutTo(from?.lengths ?? {}, from === undefined ? [] : [CHECKPOINTS, LAST_GOOD]);
    if (from !== undefined) say(`goes on from step ${from.step}, where it was saved`);
    time?.from(from?.step ?? 0);
    folder.writeJson("config.json", { study: run.study, seed: run.seed, ...config });
    folder.writeJson("env.json", machine);
    folder.event(from === undefined ? "started" : "resumed", {
      id: run.id,
      step: from?.step ?? 0,
      steps: totalSteps(config, data),
    });
    const once = (line: string): void => {
      if (!told.has(line)) progress.line(line);
      told.add(line);
    };
    const { result, measures: taken } = await executeRun(
      { ...run, config },
      { task: taskOf(config), data, metrics: metricsOf(config), method },
      {
        sinks,
        device,
        folder,
        progress,
        memory,
        once,
        command: context.command,
        checkpoints: {
          store: saved,
          every: checkpoints.every,
          lengths: () => folder.lengths(),
          from,
          stop,
          shown: (path) => relative(".", path) || path,
        },
      },
    );
    progress.stop();
    const measures = { ...taken, host: hostOf(machine) };
    sinks.artifact("result.json", JSON.stringify(result));
    sinks.artifact("measures.json", JSON.stringify(measures));
    await sinks.finish("finished");
    const first = folder.commit(result, measures);
    say(
      `${metricsSaid(result)}, ${formatDuration(measures.seconds.total)}${first ? "" : " (another process had finished it first; its result counts)"}`,
    );
    for (const warning of result.warnings ?? []) say(`WARNING: ${warning}`);
    if (stop?.asked !== undefined) throw new Interrupted(stop.asked, `${run.name} is finished`);
    return first ? { ...result, study: run.study, resolved: config, measures } : store.finished(run.name)!;
  } catch (error) {
    progress.stop();
    return await leave(error, { folder, run, saved, sinks, say });
  }
}

/** `accuracy 91.60 %, F1 91.52 %`. */
function metricsSaid({ final }: RunResult): string {
  return metricNames(final)
    .map((name) => metricWords(final, name))
    .join(", ");
}
