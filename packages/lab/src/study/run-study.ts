/** Executes the runs of a study one after the other and writes `results.json`, `results.csv` and, where ranks were planted, `ranks.svg` after each. One failing run does not stop the others. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printable, type Device } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { inProcess } from "../executors/in-process.ts";
import type { Executor } from "../records/executor.ts";
import type { SinkRecord } from "../records/sink.ts";
import { LOCAL } from "../sinks/registry.ts";
import { openSinks } from "../train/sinks.ts";
import type { Environment } from "../store/environment.ts";
import type { RunResult } from "../store/result.ts";
import type { RunStore } from "../store/run-store.ts";
import { indistinguishable, resultsCsv, summarize, type SummaryRow, type TwinRuns } from "../store/summary.ts";
import { methods } from "../methods/registry.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import type { TaskData, TaskEnvironment } from "../records/task.ts";
import { metricsOf, prepareTask, taskOf } from "../tasks/prepare.ts";
import { formatDuration } from "../text/format.ts";
import { type ProgressMode, startProgress } from "../text/progress.ts";
import { checkSteps } from "../train/adapt.ts";
import { totalSteps, withRate } from "../train/rate.ts";
import { executeRun } from "../train/run.ts";
import type { StudyRun } from "./plan-study.ts";
import { ProcessMemory, startMemory } from "./peak-rss.ts";
import { answers, type Answer } from "./answers.ts";
import { rankPicture, summarizeRecovery, type RecoverySummary } from "./rank-picture.ts";

export interface StudyContext {
  readonly out: string;
  readonly store: RunStore;
  readonly environment: TaskEnvironment;
  readonly machine: Environment;
  readonly device: Device;
  readonly progress: ProgressMode;
  /** Of the runs' task, where it has been read already. */
  readonly data?: TaskData;
  /** Who makes the runs. Default: this process. */
  readonly executor?: Executor;
  /** Who receives their numbers beside their own files. */
  readonly sinks?: readonly SinkRecord[];
  /** Receives lines for people. */
  readonly say: (line: string) => void;
}

export interface FailedRun {
  readonly name: string;
  readonly config: string;
  readonly seed: number;
  readonly message: string;
  /** Folder with what the run left. */
  readonly kept: string;
}

export interface StudyOutcome {
  readonly study: string;
  readonly results: readonly RunResult[];
  readonly failures: readonly FailedRun[];
  readonly summary: readonly SummaryRow[];
  /** Configs whose predictions cannot be told apart; identical logits make the study fail. */
  readonly indistinguishable: readonly TwinRuns[];
  /** How well planted ranks were found, by config; empty where none were planted. */
  readonly rankRecovery: readonly RecoverySummary[];
  /** What the results say about the questions that the configs pose. */
  readonly answers: readonly Answer[];
}

/** Runs whatever is not done yet. */
export async function runStudy(runs: readonly StudyRun[], context: StudyContext): Promise<StudyOutcome> {
  const { say, executor = inProcess } = context;
  const labelled = runs.map((run, i) => ({
    run,
    label: `[${i + 1}/${runs.length}] ${run.config.name} · seed ${run.seed}`,
  }));
  const outcomes = new Map<StudyRun, RunResult | FailedRun>();
  for (const { run, label } of labelled) {
    if (run.done === undefined) continue;
    say(`${label}: already done (${run.done.name}), ${firstMetric(run.done)}`);
    outcomes.set(run, run.done);
  }
  const open = labelled.filter(({ run }) => run.done === undefined);
  const written = (): StudyOutcome => {
    // in the order of the study, whoever finished first
    const all = runs.flatMap((run) => outcomes.get(run) ?? []);
    const failures = all.filter((outcome) => "message" in outcome);
    const results = all.filter((outcome) => !("message" in outcome));
    return publish(context.out, runs[0]!.study, results as RunResult[], failures as FailedRun[]);
  };
  if (open.length === 0) return written();
  // every config of a study has the same task and base
  const data = context.data ?? (await prepareTask(open[0]!.run.config, context.environment, context.device));
  // what the data decides is checked for all runs before the first is trained
  for (const { config } of open.map(({ run }) => run))
    checkSteps(methods.get(config.method.method), config, totalSteps(config, data));
  const memory = new ProcessMemory(context.device, startMemory(context.device));
  const told = new Set<string>();
  const made = executor.execute(open, ({ run, label }) => attempt(run, label, data, memory, told, context));
  for await (const { job, outcome } of made) {
    outcomes.set(job.run, outcome);
    written();
  }
  return written();
}

async function attempt(
  run: StudyRun,
  label: string,
  data: TaskData,
  memory: ProcessMemory,
  told: Set<string>,
  context: StudyContext,
): Promise<RunResult | FailedRun> {
  const folder = context.store.begin(run.name);
  for (const path of folder.setAside) context.say(`${label}: an unfinished run was found and set aside: ${path}`);
  const config = withRate(run.config, methods.get(run.config.method.method), data);
  folder.writeJson("config.json", { study: run.study, seed: run.seed, ...config });
  folder.writeJson("env.json", context.machine);
  folder.event("started", { id: run.id });
  const progress = startProgress(context.progress, label, totalSteps(config, data));
  const sinks = openSinks(
    { local: LOCAL, others: context.sinks ?? [] },
    { folder: folder.path, say: (line) => progress.line(line) },
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
    const result = await executeRun({ ...run, config }, workload, {
      sinks,
      device: context.device,
      folder,
      progress,
      memory,
      once,
    });
    progress.stop();
    sinks.artifact("result.json", JSON.stringify(result));
    sinks.finish("finished");
    const first = folder.commit(result);
    context.say(
      `${label}: ${words(result)}, ${formatDuration(result.seconds.total)}${first ? "" : " (another process had finished it first; its result counts)"}`,
    );
    for (const warning of result.warnings ?? []) context.say(`${label}: WARNING: ${printable(warning)}`);
    return first ? result : context.store.finished(run.name)!;
  } catch (error) {
    progress.stop();
    const failure = error instanceof Error ? error : new Error(String(error));
    sinks.finish("failed");
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

function publish(
  out: string,
  study: string,
  results: readonly RunResult[],
  failures: readonly FailedRun[],
): StudyOutcome {
  const rankRecovery = summarizeRecovery(results);
  const outcome: StudyOutcome = {
    study,
    results,
    failures,
    summary: summarize(results),
    indistinguishable: indistinguishable(results),
    rankRecovery,
    answers: answers(results, rankRecovery),
  };
  mkdirSync(out, { recursive: true });
  replace(join(out, "results.json"), `${JSON.stringify(outcome, null, 2)}\n`);
  replace(join(out, "results.csv"), resultsCsv(results));
  if (outcome.rankRecovery.length > 0) replace(join(out, "ranks.svg"), rankPicture(outcome.rankRecovery));
  return outcome;
}

/** Readers see the old file or the new one, never half of either. */
function replace(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

/** `accuracy 91.60 %, F1 91.52 %`. */
function words({ final }: RunResult): string {
  return metricNames(final)
    .map((name) => metricWords(final, name))
    .join(", ");
}

function firstMetric({ final }: RunResult): string {
  return metricWords(final, metricNames(final)[0] ?? "loss");
}
