/** Executes the runs of a study that are not done yet, and writes what it has come to after each. One failing run does not stop the others. */
import { inProcess } from "../executors/in-process.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { methods } from "../methods/registry.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import type { Executor } from "../records/executor.ts";
import type { TaskEnvironment } from "../records/task.ts";
import type { RunResult } from "../store/result.ts";
import { PreparedTasks } from "../tasks/prepared.ts";
import { checkSteps } from "../train/adapt.ts";
import { totalSteps } from "../train/rate.ts";
import { attempt, type AttemptContext } from "./attempt.ts";
import { publishOutcome, type FailedRun, type StudyOutcome } from "./outcome.ts";
import { ProcessMemory, startMemory } from "./peak-rss.ts";
import type { StudyRun } from "./plan-study.ts";

export interface StudyContext extends AttemptContext {
  readonly out: string;
  readonly environment: TaskEnvironment;
  /** Of the runs' tasks, where they have been read already. */
  readonly data?: PreparedTasks;
  /** Who makes the runs. Default: this process. */
  readonly executor?: Executor;
}

/** Runs whatever is not done yet. */
export async function runStudy(runs: readonly StudyRun[], context: StudyContext): Promise<StudyOutcome> {
  const { say, executor = inProcess } = context;
  const labelled = runs.map((run, i) => ({
    run,
    label: `[${i + 1}/${runs.length}] ${cellWords(run.config)} · seed ${run.seed}`,
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
    return publishOutcome(context.out, runs[0]!.study, results as RunResult[], failures as FailedRun[]);
  };
  if (open.length === 0) return written();
  const prepared = context.data ?? new PreparedTasks(context.environment, context.device);
  // what the data decides is checked for all runs before the first is trained
  for (const { config } of open.map(({ run }) => run))
    checkSteps(methods.get(config.method.method), config, totalSteps(config, await prepared.of(config)));
  const shared = {
    memory: new ProcessMemory(context.device, startMemory(context.device)),
    told: new Set<string>(),
  };
  const made = executor.execute(open, async ({ run, label }) =>
    attempt(run, label, { ...shared, data: await prepared.of(run.config) }, context),
  );
  for await (const { job, outcome } of made) {
    outcomes.set(job.run, outcome);
    written();
  }
  return written();
}

/** `b-ada`, `b-ada · easy` in a study of several tasks. */
function cellWords({ name, taskLabel }: ResolvedConfig): string {
  return [name, taskLabel].filter((part) => part !== undefined).join(" · ");
}

function firstMetric({ final }: RunResult): string {
  return metricWords(final, metricNames(final)[0] ?? "loss");
}
