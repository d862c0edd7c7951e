/** Has the runs of a study made that are not done yet, and writes what it has come to after each. One failing run does not stop the others. */
import { printable } from "@lowrank/tensor";
import { inProcess } from "../executors/in-process.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import { Busy, type Executor, type Job, type Report, type Workshop } from "../records/executor.ts";
import type { FinishedRun } from "../store/measures.ts";
import type { RunStore } from "../store/run-store.ts";
import { LineKeeper } from "./line-keeper.ts";
import { reportOf, RunMaker, type MakerContext } from "./maker.ts";
import { outcomeFrom, publishOutcome, type FailedRun, type StudyOutcome, type StudyReport } from "./outcome.ts";
import { needsOf, type StudyRun } from "./plan-study.ts";
import type { RestOfStudy } from "./rest.ts";
import type { Source } from "./settle.ts";
import { sourceIn } from "./sources.ts";
import { sweepsOf } from "./sweeps.ts";

export interface StudyContext extends MakerContext {
  readonly out: string;
  /** What the study has beside these runs; absent where they are all. */
  readonly rest?: RestOfStudy | undefined;
  /** Who makes the runs, and what those of other processes need. Default: this process. */
  readonly executor?: {
    readonly record: Executor;
    readonly workshop: Pick<Workshop, "order" | "command" | "options" | "threads">;
  };
}

type Outcome = FinishedRun | FailedRun;

/** Has whatever is not done yet made. */
export async function runStudy(runs: readonly StudyRun[], context: StudyContext): Promise<StudyReport> {
  const { say, store, out } = context;
  const outcomes = new Map<string, Outcome>();
  const jobs: Job[] = [];
  for (const [i, run] of runs.entries()) {
    const label = `[${i + 1}/${runs.length}] ${cellWords(run.config)} · seed ${run.seed}`;
    if (run.done !== undefined) {
      const by = store.has(run.done.name) ? "" : ", by its line";
      say(`${label}: already done (${run.done.name}${by}), ${firstMetric(run.done)}`);
      outcomes.set(run.name, run.done);
      continue;
    }
    if (run.damaged !== undefined) {
      say(`${label}: DAMAGED: ${printable(run.damaged)}`);
      outcomes.set(run.name, { name: run.name, config: run.config.name, seed: run.seed, message: run.damaged });
      continue;
    }
    if (run.diverged !== undefined) {
      say(`${label}: diverged before, and is not made again: ${printable(run.diverged)}`);
      outcomes.set(run.name, { name: run.name, config: run.config.name, seed: run.seed, message: run.diverged });
      continue;
    }
    for (const line of pulledIn(run, runs)) say(`${label}: ${line}`);
    jobs.push({ name: run.name, id: run.id, label, needs: needsOf(run), ...known(run, runs) });
  }
  const keeper = new LineKeeper(store, say);
  await keeper.keepDone([...runs, ...(context.rest?.whole ?? [])]);
  const written = (): StudyReport => publish(runs, outcomes, context);
  if (jobs.length === 0) {
    keeper.finish();
    return written();
  }
  const named = new Map(runs.map((run) => [run.name, run]));
  const maker = new RunMaker(context);
  await maker.check(jobs.map(({ name }) => named.get(name)!));
  const { record, workshop } = context.executor ?? HERE;
  const made = record.execute(jobs, {
    ...workshop,
    out,
    say,
    isDone: ({ name }) => store.finished(name) !== undefined,
    attempt: async ({ name, label }) => {
      const outcome = await maker.make(named.get(name)!, label);
      if (!(outcome instanceof Busy)) outcomes.set(name, outcome);
      return reportOf(outcome, named.get(name)!, { store, device: context.device.name });
    },
  });
  try {
    for await (const { job, report } of made) {
      await keeper.keep(report);
      const outcome = outcomes.get(job.name) ?? outcomeOf(named.get(job.name)!, report, store);
      if (outcome === undefined) continue;
      outcomes.set(job.name, outcome);
      written();
    }
  } finally {
    // one that was finished as this process was asked to stop
    await keeper.keepDone(runs);
  }
  keeper.finish();
  return written();
}

/** What has come, before, of what a run needs: other machines may not have it. */
function known(run: StudyRun, runs: readonly StudyRun[]): Pick<Job, "known"> {
  const names = needsOf(run);
  const reports = runs.flatMap(({ name, done, diverged }): [string, Report][] => {
    if (done !== undefined) return [[done.name, { kind: "made", result: done }]];
    return diverged === undefined ? [] : [[name, { kind: "failed", message: diverged, diverged: true }]];
  });
  const needed = reports.filter(([name]) => names.includes(name));
  return needed.length === 0 ? {} : { known: Object.fromEntries(needed) };
}

/** This process needs nothing to be told of itself. */
const HERE: NonNullable<StudyContext["executor"]> = {
  record: inProcess,
  workshop: { order: {}, command: { options: [], script: "", args: [] }, options: {}, threads: undefined },
};

/** Of a run that another process made; undefined where nothing is known yet. */
function outcomeOf({ name, config, seed }: StudyRun, report: Report, store: RunStore): Outcome | undefined {
  if (report.kind === "made") {
    const found = store.finished(name) ?? (report.result as FinishedRun | undefined);
    return found ?? { name, config: config.name, seed, message: "it was made, and its result is not here" };
  }
  if (report.kind !== "failed") return undefined;
  const { message, kept } = report;
  return { name, config: config.name, seed, message, ...(kept === undefined ? {} : { kept }) };
}

/** Writes the study's files, with what is done of it beside these runs, and tells of these. */
function publish(
  runs: readonly StudyRun[],
  outcomes: ReadonlyMap<string, Outcome>,
  { out, store, rest }: StudyContext,
): StudyReport {
  const outcome = together(runs, outcomes, store);
  if (rest === undefined) {
    publishOutcome(out, outcome);
    return outcome;
  }
  const own = new Map(runs.map((run) => [run.name, run]));
  const known = new Map<string, Outcome>([...rest.finished(new Set(own.keys())), ...outcomes]);
  const whole = together(
    rest.whole.map((run) => own.get(run.name) ?? run),
    known,
    store,
    (run) => (own.has(run.name) ? undefined : rest.tried(run)),
  );
  publishOutcome(out, whole);
  return { ...outcome, inFiles: whole.results.length };
}

/** In the order of the study, whoever finished first. Runs that try rates are no cells of it. */
function together(
  runs: readonly StudyRun[],
  outcomes: ReadonlyMap<string, Outcome>,
  store: RunStore,
  beside: (rate: StudyRun) => Source | undefined = () => undefined,
): StudyOutcome {
  const sweeps = sweepsOf(runs, (run) => {
    const outcome = outcomes.get(run.name);
    if (outcome === undefined) return beside(run);
    return "message" in outcome ? sourceIn(store, run.name) : { result: outcome };
  });
  const tried = new Set(sweeps.flatMap(({ rates }) => rates.map(({ run }) => run)));
  const results = runs.flatMap((run) => {
    const outcome = outcomes.get(run.name);
    return run.role === "rate" || outcome === undefined || "message" in outcome ? [] : [outcome];
  });
  const failures = runs.flatMap((run) => {
    const outcome = outcomes.get(run.name);
    // of a rate that diverged its sweep tells
    return outcome === undefined || !("message" in outcome) || tried.has(run.name) ? [] : [outcome];
  });
  return outcomeFrom({ study: runs[0]!.study, results, failures, sweeps });
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
