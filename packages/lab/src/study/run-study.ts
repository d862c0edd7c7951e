/** Has the runs of a study made that are not done yet, and writes what it has come to after each. One failing run does not stop the others. */
import { inProcess } from "../executors/in-process.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import type { Executor } from "../records/executor.ts";
import type { FinishedRun } from "../store/measures.ts";
import { RunMaker, type MakerContext } from "./maker.ts";
import { publishOutcome, type FailedRun, type StudyOutcome } from "./outcome.ts";
import { needsOf, type StudyRun } from "./plan-study.ts";
import { sourceIn } from "./sources.ts";
import { sweepsOf } from "./sweeps.ts";

export interface StudyContext extends MakerContext {
  readonly out: string;
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
  const outcomes = new Map<StudyRun, FinishedRun | FailedRun>();
  for (const { run, label } of labelled) {
    if (run.done === undefined) continue;
    say(`${label}: already done (${run.done.name}), ${firstMetric(run.done)}`);
    outcomes.set(run, run.done);
  }
  const open = labelled.filter(({ run }) => run.done === undefined);
  for (const { run, label } of open) for (const line of pulledIn(run, runs)) say(`${label}: ${line}`);
  const written = (): StudyOutcome => publish(runs, outcomes, context);
  if (open.length === 0) return written();
  const maker = new RunMaker(context);
  await maker.check(open.map(({ run }) => run));
  const made = executor.execute(open, ({ run, label }) => maker.make(run, label));
  for await (const { job, outcome } of made) {
    outcomes.set(job.run, outcome);
    written();
  }
  return written();
}

/** In the order of the study, whoever finished first. Runs that try rates are no cells of it. */
function publish(
  runs: readonly StudyRun[],
  outcomes: ReadonlyMap<StudyRun, FinishedRun | FailedRun>,
  { out, store }: StudyContext,
): StudyOutcome {
  const sweeps = sweepsOf(runs, (run) => {
    const outcome = outcomes.get(run);
    return outcome !== undefined && "message" in outcome ? sourceIn(store, run.name) : outcome && { result: outcome };
  });
  const tried = new Set(sweeps.flatMap(({ rates }) => rates.map(({ run }) => run)));
  const results = runs.flatMap((run) => {
    const outcome = outcomes.get(run);
    return run.role === "rate" || outcome === undefined || "message" in outcome ? [] : [outcome];
  });
  const failures = runs.flatMap((run) => {
    const outcome = outcomes.get(run);
    // of a rate that diverged its sweep tells
    return outcome === undefined || !("message" in outcome) || tried.has(run.name) ? [] : [outcome];
  });
  return publishOutcome(out, runs[0]!.study, results, failures, sweeps);
}

/** Why a run is made that nobody asked for. */
function pulledIn(run: StudyRun, runs: readonly StudyRun[]): string[] {
  if (run.role === "asked") return [];
  const by = runs.filter((other) => other.done === undefined && needsOf(other).includes(run.name));
  if (by.length === 0) return [];
  const more = by.length > NAMED ? ` and ${by.length - NAMED} more` : "";
  return [
    `made for ${by
      .slice(0, NAMED)
      .map(({ name }) => name)
      .join(", ")}${more}`,
  ];
}

const NAMED = 2;

/** `b-ada`, `b-ada · easy` in a study of several tasks. */
function cellWords({ name, taskLabel }: ResolvedConfig): string {
  return [name, taskLabel].filter((part) => part !== undefined).join(" · ");
}

function firstMetric({ final }: FinishedRun): string {
  return metricWords(final, metricNames(final)[0] ?? "loss");
}
